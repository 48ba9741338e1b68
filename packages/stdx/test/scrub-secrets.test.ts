import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scrubSecrets } from '../src/index.ts';

test.each([
  ['get https://me:s3cret@host/x failed', 'get https://***@host/x failed'],
  ['https://h/image?X-Signature=s3cret&y=1 said 403', 'https://h/image?*** said 403'],
  ['{"url":"https://h/x?s=1","n":2}', '{"url":"https://h/x?***","n":2}'],
  ['Authorization: Bearer s3cret.x-y_z=', 'Authorization: Bearer ***'],
  ['Authorization: Basic dXNlcjpzM2NyZXQ=', 'Authorization: Basic ***'],
  ['{"adminToken":"a\\"b","node":"n1"}', '{"adminToken":"***","node":"n1"}'],
  ['{"authorization": "s3cret"}', '{"authorization": "***"}'],
  ['{"os_password":"x","secrets":"y"}', '{"os_password":"***","secrets":"***"}'],
  ['rbd://user:s3cret@pool/image', 'rbd://***@pool/image'],
])('turns %s into %s', (line, scrubbed) => {
  expect(scrubSecrets(line)).toBe(scrubbed);
});

test('leaves what is no secret as it is', () => {
  const line = '{"level":30,"url":"http://10.0.0.1:7420/v1","image":"a@b","msg":"basic facts"}';
  expect(scrubSecrets(line)).toBe(line);
});

test('leaves JSON JSON, and lets no secret through wherever it stands', () => {
  const secret = 'S3CR3Tx';
  const shapes = fc.constantFrom(
    (text: string) => ({ msg: `${text} https://u:${secret}@h/p ${text}` }),
    (text: string) => ({ err: { message: `${text} http://h/p?k=${secret}` } }),
    (text: string) => ({ headers: { authorization: `Bearer ${secret}`, text } }),
    (text: string) => ({ [`${text.replace(/\W/g, '')}Token`]: secret }),
  );
  fc.assert(
    fc.property(shapes, fc.string(), (shape, text) => {
      const scrubbed = scrubSecrets(JSON.stringify(shape(text)));
      JSON.parse(scrubbed);
      expect(scrubbed).not.toContain(secret);
    }),
  );
});
