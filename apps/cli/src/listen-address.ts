/** A HOST:PORT to listen on, as an option's value; whether several go together. Resolves no names. */
import { InvalidArgumentError, Option } from 'commander';
import { OptionsError } from './failure.ts';

export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose one. */
  readonly port: number;
}

/** `flags` <host:port>, with a default that its help shows as it is written. */
export function listenOption(flags: string, description: string, byDefault: string): Option {
  return new Option(`${flags} <host:port>`, description)
    .argParser(parseListenAddress)
    .default(parseListenAddress(byDefault), byDefault);
}

/** '127.0.0.1:7420', '[::1]:7420', 'node-1:0'. Throws commander's InvalidArgumentError. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2], port };
  throw new InvalidArgumentError('Write it as HOST:PORT or [IPV6]:PORT.');
}

/** By their flags; undefined: not listened on. Throws OptionsError `listen-conflict` when two are the same port of an address. */
export function requireApart(addresses: Readonly<Record<string, ListenAddress | undefined>>): void {
  const given: [string, ListenAddress][] = [];
  for (const [flag, address] of Object.entries(addresses)) {
    if (address === undefined || address.port === 0) continue;
    const other = given.find(([, { host, port }]) => {
      return port === address.port && isShared(host, address.host);
    });
    if (other !== undefined) throw conflict(other, [flag, address]);
    given.push([flag, address]);
  }
}

/** Whether an address of this host may be meant by both. */
function isShared(one: string, other: string): boolean {
  if (one === other || one === '::' || other === '::') return true;
  if (one === '0.0.0.0') return !other.includes(':');
  return other === '0.0.0.0' && !one.includes(':');
}

function conflict(...given: readonly [string, ListenAddress][]): OptionsError {
  const shown = given.map(([flag, { host, port }]) => {
    return `${flag} ${host.includes(':') ? `[${host}]` : host}:${port}`;
  });
  return new OptionsError(
    'listen-conflict',
    `${shown.join(' and ')} are one port of the same address`,
    'give one of them another port, on the command line or in the configuration file',
  );
}
