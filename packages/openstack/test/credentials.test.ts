import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { variablesOf } from '../src/credentials.ts';
import { credentialsFromEnvironment, readCredentials } from '../src/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'credentials-'));
afterAll(() => rmSync(directory, { recursive: true }));

const OPENRC = `#!/usr/bin/env bash

export OS_AUTH_TYPE=v3applicationcredential
export OS_AUTH_URL=https://keystone.example:5000/v3
export OS_IDENTITY_API_VERSION=3
export OS_REGION_NAME="RegionOne"
export OS_INTERFACE=internalURL
export OS_APPLICATION_CREDENTIAL_ID=0123
export OS_APPLICATION_CREDENTIAL_SECRET='s3=cr et'
echo $OS_USERNAME; rm -rf /
`;

function file(text: string, mode = 0o600): string {
  const path = join(directory, 'openrc');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('an openrc file', () => {
  test('is read as Horizon writes it, and not run', async () => {
    expect(await readCredentials(file(OPENRC))).toEqual({
      authUrl: new URL('https://keystone.example:5000'),
      ...{ id: '0123', secret: 's3=cr et', region: 'RegionOne', interface: 'internal' },
    });
  });

  test('that everybody may read is refused', async () => {
    await expect(readCredentials(file(OPENRC, 0o644))).rejects.toMatchObject({
      code: 'credentials-file',
    });
  });

  test.each(['OS_AUTH_URL', 'OS_APPLICATION_CREDENTIAL_ID', 'OS_APPLICATION_CREDENTIAL_SECRET'])(
    'without %s is refused, naming it and no value',
    async (name) => {
      const text = OPENRC.split('\n').filter((line) => !line.includes(`${name}=`));
      const error = await readCredentials(file(text.join('\n'))).catch((reason) => reason as Error);
      expect(error).toMatchObject({ code: 'credentials', message: expect.stringContaining(name) });
      expect((error as Error).message).not.toContain('s3=cr et');
    },
  );

  test('of any text gives names and values or nothing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const [name, value] of Object.entries(variablesOf(text))) {
          expect(name).toMatch(/^OS_[A-Z0-9_]+$/);
          expect(text).toContain(value);
        }
      }),
    );
  });
});

test('an environment without a Keystone has no credentials', () => {
  expect(credentialsFromEnvironment({ HOME: '/', OS_AUTH_URL: '' })).toBeUndefined();
  expect(() => credentialsFromEnvironment({ OS_AUTH_URL: 'x' })).toThrow('OS_AUTH_URL');
});
