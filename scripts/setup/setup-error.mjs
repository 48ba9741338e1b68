/** A step of the setup that the person at the keyboard has to help with: the message says how. */
export class SetupError extends Error {}
