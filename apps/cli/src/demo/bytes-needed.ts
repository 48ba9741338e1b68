/** Adds up what a storm had to move at least: every distinct piece that some guest read, once. */
import type { TouchedPieces } from '@bootswarm/agent';
import { Bitfield, OperatorError } from '@bootswarm/stdx';

/** `touched`: one per node, all of the same image; zero pieces are not in them. The last piece may be short. */
export function bytesNeeded(touched: readonly TouchedPieces[]): number {
  const [first] = touched;
  if (first === undefined) return 0;
  const { pieceCount, pieceLength, length } = first;
  const union = new Bitfield(pieceCount);
  for (const one of touched) addTo(union, one);
  const lastIndex = pieceCount - 1;
  const missing = union.size > 0 && union.has(lastIndex) ? pieceCount * pieceLength - length : 0;
  return union.count * pieceLength - missing;
}

function addTo(union: Bitfield, touched: TouchedPieces): void {
  const pieces = Bitfield.fromBytes(union.size, Buffer.from(touched.bitfield, 'base64'));
  if (pieces === undefined) {
    throw new OperatorError(
      'bad-bitfield',
      `an agent answered a bitfield of touched pieces that does not fit ${union.size} pieces`,
      'check that all agents are of the same version',
    );
  }
  for (let at = pieces.nextSet(0); at !== -1; at = pieces.nextSet(at + 1)) union.set(at);
}
