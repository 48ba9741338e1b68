/** .torrent files and hash answers between us and libtorrent 2 (Debian's python3-libtorrent). */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  createInfo,
  encodeTorrent,
  generatePublisherKey,
  hashImageFile,
  makePieceLayer,
  makeSignature,
  parseTorrent,
  type Torrent,
} from '@bootswarm/metainfo';
import { Random } from '@bootswarm/stdx';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const KIB = 1024;
const PIECE_LENGTH = 64 * KIB;

const LOAD = `
import json, sys, libtorrent as lt
ti = lt.torrent_info(sys.argv[1])
fs = ti.files()
# libtorrent pads the last piece with a file of its own, here and with torrents it made itself.
files = [i for i in range(fs.num_files()) if not fs.file_flags(i) & lt.file_flags_t.flag_pad_file]
print(json.dumps({
  'infoHash': str(ti.info_hashes().v2), 'hasV1': ti.info_hashes().has_v1(),
  'name': ti.name(), 'lengths': [fs.file_size(i) for i in files],
  'pieceLength': ti.piece_length(), 'pieceCount': ti.num_pieces(),
  'root': str(fs.root(0)), 'trackers': [t.url for t in ti.trackers()],
}))`;

const CREATE = `
import sys, libtorrent as lt
path, out, piece_length = sys.argv[1], sys.argv[2], int(sys.argv[3])
fs = lt.file_storage()
lt.add_files(fs, path)
ct = lt.create_torrent(fs, piece_length, lt.create_torrent.v2_only)
ct.set_creator('libtorrent'); ct.set_comment('made by another'); ct.set_priv(True)
ct.add_tracker('http://127.0.0.1:1/announce')
lt.set_piece_hashes(ct, path.rsplit('/', 1)[0])
open(out, 'wb').write(lt.bencode(ct.generate()))`;

/** An image with two blocks of data, a hole and a last piece that is short. */
const LENGTHS = [1, 16 * KIB, 40 * KIB, PIECE_LENGTH, PIECE_LENGTH + 1, 11 * PIECE_LENGTH - 3];

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootswarm-interop-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function python(script: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', script, ...args]);
  return stdout;
}

/** The image's path and what we make of it. */
async function imageOf(length: number): Promise<{ path: string; torrent: Torrent }> {
  const random = new Random(length);
  const bytes = Uint8Array.from({ length }, () => random.below(256));
  bytes.fill(0, 2 * PIECE_LENGTH, 5 * PIECE_LENGTH);
  const path = join(directory, `image-${length}.raw`);
  await writeFile(path, bytes);
  const shape = { length, pieceLength: PIECE_LENGTH };
  const { piecesRoot, pieceLayer } = await hashImageFile(path, shape);
  const metainfo = createInfo({ name: `image-${length}.raw`, ...shape, piecesRoot });
  return { path, torrent: { metainfo, pieceLayer: makePieceLayer(metainfo, pieceLayer) } };
}

describe('torrent file and libtorrent', () => {
  it.each(LENGTHS)('libtorrent loads ours of %i bytes', async (length) => {
    const { torrent } = await imageOf(length);
    const { metainfo } = torrent;
    const file = join(directory, `ours-${length}.torrent`);
    const announce = 'http://127.0.0.1:6969/announce';
    const signature = makeSignature(metainfo, generatePublisherKey());
    await writeFile(file, encodeTorrent({ ...torrent, signature, announce }));
    expect(JSON.parse(await python(LOAD, file))).toEqual({
      infoHash: Buffer.from(metainfo.infoHash).toString('hex'),
      hasV1: false,
      name: metainfo.name,
      lengths: [length],
      pieceLength: PIECE_LENGTH,
      pieceCount: metainfo.pieceCount,
      root: Buffer.from(metainfo.piecesRoot).toString('hex'),
      trackers: [announce],
    });
  });

  it.each(LENGTHS)('we load one made by libtorrent of %i bytes', async (length) => {
    const { path, torrent } = await imageOf(length);
    const file = join(directory, `theirs-${length}.torrent`);
    await python(CREATE, path, file, String(PIECE_LENGTH));
    const theirs = parseTorrent(await readFile(file));
    const loaded = JSON.parse(await python(LOAD, file));
    expect(Buffer.from(theirs.metainfo.infoHash).toString('hex')).toBe(loaded.infoHash);
    expect(theirs.metainfo).toMatchObject({
      name: torrent.metainfo.name,
      length,
      pieceLength: PIECE_LENGTH,
      piecesRoot: torrent.metainfo.piecesRoot,
    });
    expect(theirs.pieceLayer?.bytes).toEqual(torrent.pieceLayer?.bytes);
    expect(theirs.pieceLayer?.zeroCount).toBe(torrent.pieceLayer?.zeroCount);
  });
});
