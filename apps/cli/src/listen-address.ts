/** A HOST:PORT to listen on, as an option's value. Resolves no names. */
import { InvalidArgumentError, Option } from 'commander';

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
