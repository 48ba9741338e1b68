/** The version of this package, as package.json has it: shown to people, and compared before an origin is adopted. */
export const VERSION = '0.1.0';
