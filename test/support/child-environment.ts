/**
 * The environment for a child process that runs the project's sources by itself: without tap's loaders, and without its
 * coverage: what a child has run is no test of it, and its lines would be those of another compiler's output.
 */
export const childEnvironment: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_OPTIONS' && name !== 'NODE_V8_COVERAGE')),
  _TAPJS_PROCESSINFO_COVERAGE_: '0'
}
