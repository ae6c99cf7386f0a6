/** The content of a file is not what it should be, at a place of the file. Not thrown for anything else. */
export class ContentError extends Error {
  readonly place: { readonly line?: number, readonly column?: number, readonly byteOffset?: number }

  constructor (message: string, place: ContentError['place']) {
    super(message)
    this.place = place
  }
}
