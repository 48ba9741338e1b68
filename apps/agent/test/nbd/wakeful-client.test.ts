import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CMD, request } from '../../../../packages/nbd-proto/test/wire.ts';
import { NbdListener } from '../../src/nbd/nbd-listener.ts';
import { WakefulLoop } from '../../src/wakeful-loop.ts';
import { directoryOf, FileExport, imageBytes } from './file-export.ts';
import { RawClient } from './raw-client.ts';

test('keeps the event loop awake for a client that sends one request after another', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
  const image = imageBytes(512, 0);
  writeFileSync(join(directory, 'image.raw'), image);
  const disk = new FileExport('disk', join(directory, 'image.raw'), image);
  let nowMs = 0;
  const turns: (() => void)[] = [];
  const listener = await NbdListener.listen(
    { type: 'path', path: join(directory, 'nbd.sock') },
    {
      directory: directoryOf(disk),
      onEvent: () => {},
      loop: new WakefulLoop({ now: () => nowMs, inNextTurn: (turn) => void turns.push(turn) }),
    },
  );
  onTestFinished(async () => {
    await listener.close();
    disk.destroy();
    rmSync(directory, { recursive: true });
  });
  const client = await RawClient.open(join(directory, 'nbd.sock'), 'disk');

  // The clock stands still: each request comes at once after the answer to the one before.
  for (let requests = 0; requests < 10; requests += 1) {
    client.send(request(CMD.read, 0, 512));
    await client.receive(16 + 512);
  }
  expect(turns).toHaveLength(1);

  nowMs += 1;
  turns.pop()!();
  expect(turns).toEqual([]);
});
