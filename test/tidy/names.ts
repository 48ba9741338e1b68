/**
 * Names of files, directories and of what code declares: none that says nothing, none for which the glossary's `do not say`
 * column has a better one.
 */
import { finding, type Node, walk } from './syntax.ts';
import { isCode, type SourceFile } from './tree.ts';

const EMPTY_WORDS = ['util', 'utils', 'common', 'helper', 'helpers', 'manager', 'misc', 'shared'];

/** Words of the `do not say` column that are right for something else; for those, only a reader can tell. */
const RIGHT_ELSEWHERE: Readonly<Record<string, string>> = {
  chunk: 'what a Node stream hands over',
  trace: 'one recorded boot that the simulator replays',
  segment: 'of a byte stream, as a socket hands it over',
  client: 'the near end of HTTP, WebSocket and NBD connections',
  server: 'the far end of those',
  peer: 'the far end of a wire; only wrong for a host',
  network: 'an address range; the simulated one',
  root: 'of a merkle tree, of a directory',
  map: 'a Map',
  share: 'part of a whole',
  handle: 'handle(input) of a machine; an open file',
  cluster: 'the allocation unit of a qcow2 file',
  snapshot: 'recorded in a qcow2 file',
  region: "of Keystone's catalog",
};

export function emptyNames(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => path.split(/[/.-]/).some((word) => EMPTY_WORDS.includes(word)))
    .map(({ path }) => `${path}: a name that says nothing (${EMPTY_WORDS.join(', ')})`);
}

export function bannedNames(files: readonly SourceFile[]): string[] {
  const banned = bannedWords(files.find(({ path }) => path === 'GLOSSARY.md')?.text ?? '');
  return files.filter(isCode).flatMap((file) => {
    const found: string[] = [];
    walk(file, (node, parent, key) => {
      const name = declaredName(node, parent, key);
      const word = name && banned.find((candidate) => says(name, candidate));
      if (!word) return;
      found.push(finding(file, node.start, `${name}: GLOSSARY.md has a better word than ${word}`));
    });
    return found;
  });
}

/** The entries of the fourth column, in the form `hot list`, without those that are right elsewhere. */
export function bannedWords(glossary: string): string[] {
  const rows = [...glossary.matchAll(/^\|[^|]*\|[^|]*\|[^|]*\|([^|]*)\|$/gm)].slice(2);
  const words = rows.flatMap(([, cell]) => cell.trim().split(/,\s*/));
  return words.filter((word) => word !== '' && !(word in RIGHT_ELSEWHERE));
}

/** True when the words of a camelCase or UPPER_CASE name contain the banned ones in a row. */
function says(name: string, banned: string): boolean {
  return ` ${wordsOf(name)} `.includes(` ${wordsOf(banned)} `);
}

/** `hotLists`, `HOT_LIST` and `hot-list` → `hot list`. */
function wordsOf(name: string): string {
  const spaced = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[-_]/g, ' ');
  return spaced.toLowerCase().replace(/s\b/g, '');
}

/** The name a node declares: variable, function, parameter, class, type, or member of a class or type. */
function declaredName(node: Node, parent: Node | undefined, key: string): string | undefined {
  if (node.type !== 'Identifier' && node.type !== 'PrivateIdentifier') return undefined;
  const isMember = /^(PropertyDefinition|MethodDefinition|TS\w+Signature)$/.test(
    parent?.type ?? '',
  );
  const isDeclared = key === 'id' || key === 'params' || (key === 'key' && isMember);
  return isDeclared ? (node.name as string) : undefined;
}
