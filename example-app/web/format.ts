const number = new Intl.NumberFormat('en')

export function count (amount: number, noun: string): string {
  return `${number.format(amount)} ${noun}${amount === 1 ? '' : 's'}`
}

/** In the unit that makes it short. */
export function bytes (amount: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = amount
  let unit = 0
  for (; value >= 1_024 && unit < units.length - 1; unit++) value /= 1_024
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function euros (cents: number): string {
  return new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' }).format(cents / 100)
}
