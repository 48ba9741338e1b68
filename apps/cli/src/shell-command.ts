/** An argument vector as one line that a POSIX shell reads back into the same arguments. */

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

export function shellCommand(args: readonly string[]): string {
  return args.map(quote).join(' ');
}

function quote(arg: string): string {
  return PLAIN.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
