export function median (numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** By how much the numbers grow from one to the next: the slope of the straight line that fits them best. */
export function slope (numbers: readonly number[]): number {
  const middle = (numbers.length - 1) / 2
  const squares = numbers.reduce((sum, _, index) => sum + (index - middle) ** 2, 0)
  return numbers.reduce((sum, number, index) => sum + (index - middle) * number, 0) / squares
}

/** Three significant digits: more would be noise. */
export function round (number: number): number {
  return Number(number.toPrecision(3))
}
