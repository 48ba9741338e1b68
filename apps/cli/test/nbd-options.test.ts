import { Command } from 'commander';
import { expect, test } from 'vitest';
import { type NbdOptions, nbdSettings, withNbdOptions } from '../src/nbd-options.ts';

const MIB = 1024 * 1024;
const TCP = ['--nbd-tcp', '10.0.0.21:10809'];
const TLS = ['--nbd-tls-cert', '/pki/cert.pem', '--nbd-tls-key', '/pki/key.pem'];
const AT = { host: '10.0.0.21', port: 10_809 };
const FILES = { certificate: '/pki/cert.pem', key: '/pki/key.pem' };

function settingsOf(...args: readonly string[]) {
  const command = withNbdOptions(new Command())
    .exitOverride()
    .configureOutput({
      writeErr: () => {},
    });
  return nbdSettings(command.parse(args, { from: 'user' }).opts<NbdOptions>());
}

test.each([
  ['nothing', [], { nbdReplyBytes: 64 * MIB }],
  ['memory for replies', ['--nbd-memory', '32M'], { nbdReplyBytes: 32 * MIB }],
  ['TLS', [...TCP, ...TLS], { nbdTcp: { ...AT, security: FILES } }],
  [
    'TLS for clients with a certificate',
    [...TCP, ...TLS, '--nbd-tls-ca', '/pki/ca.pem'],
    { nbdTcp: { ...AT, security: { ...FILES, clientCa: '/pki/ca.pem' } } },
  ],
  ['no TLS', [...TCP, '--nbd-tcp-plain'], { nbdTcp: { ...AT, security: 'plain' } }],
])('an agent may be told of %s', (_, args, settings) => {
  expect(settingsOf(...args)).toEqual({ nbdReplyBytes: 64 * MIB, ...settings });
});

test.each([
  [TCP, 'nbd-tls-needed'],
  [[...TCP, '--nbd-tls-ca', '/pki/ca.pem'], 'nbd-tls-needed'],
  [[...TCP, ...TLS.slice(0, 2)], 'nbd-tls-needed'],
  [[...TCP, ...TLS.slice(2)], 'nbd-tls-needed'],
  [[...TCP, ...TLS, '--nbd-tcp-plain'], 'nbd-options-conflict'],
  [TLS, 'nbd-options-conflict'],
  [['--nbd-tcp-plain'], 'nbd-options-conflict'],
  [['--nbd-memory', '31M'], 'commander.invalidArgument'],
  [['--nbd-memory', 'much'], 'commander.invalidArgument'],
])('an agent is not told %j', (args, code) => {
  expect(() => settingsOf(...args)).toThrow(expect.objectContaining({ code }));
});
