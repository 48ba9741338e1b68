/** Why pieces are asked of the origin, in words for operators. The reasons are swarm-proto's OriginReason. */

export interface ReasonText {
  readonly title: string;
  readonly explanation: string;
  /** Not how it should be: another node should have given the piece. */
  readonly isTrouble: boolean;
}

const REASONS: Readonly<Record<string, ReasonText>> = {
  'tree-root': usual('First in the relay tree', 'One node has to fetch a piece for all others.'),
  'first-touch': usual('First guest to want it', 'Nobody in the swarm had asked for it before.'),
  'no-holder': usual('No other node has it', 'Nobody could have given it.'),
  'fill-share': usual('Share of the fill', 'Its part of what no node has yet.'),
  'sources-unreachable': trouble('Other nodes unreachable', 'Nodes that have it do not answer.'),
  'lease-failed': trouble('Named node did not give it', 'The origin had sent it to that node.'),
  'holder-late': trouble('Other nodes were late', 'A guest had waited too long for them.'),
  'piece-refused': trouble('Refused or wrong', 'A node refused the piece or sent bad bytes.'),
};

export function reasonText(reason: string): ReasonText {
  return REASONS[reason] ?? usual(reason, 'A reason that this page does not know.');
}

function usual(title: string, explanation: string): ReasonText {
  return { title, explanation, isTrouble: false };
}

function trouble(title: string, explanation: string): ReasonText {
  return { title, explanation, isTrouble: true };
}
