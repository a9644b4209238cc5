/**
 * ISO 4217 currencies in circulation, as the platform's own time zone-free data: `Intl` knows the list and each
 * currency's minor-unit exponent (CLDR), and both come with Node.
 */
const CURRENCIES = new Set(Intl.supportedValuesOf('currency'));

export const DEFAULT_CURRENCY = 'EUR';

export function isCurrency(code: string): boolean {
  return CURRENCIES.has(code);
}
