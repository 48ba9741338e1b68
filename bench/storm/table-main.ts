/** `npm run bench -- storm --table`: every row of the figures table, median of the seeds, printed and written for the README. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawStorms } from './storm-chart.ts';
import { type JobResult, runJobs } from './storm-jobs.ts';
import { commitOf } from './storm-report.ts';
import { PICTURE_FLAGS } from './table.ts';
import type { TableCommand } from './table-flags.ts';
import {
  commandLineOf,
  commandLinesOf,
  lineOf,
  markdownOf,
  mergedLines,
  printLines,
  type TableLine,
} from './table-result.ts';

export async function runTable(command: TableCommand): Promise<void> {
  const { rows, seeds, nodesScale, jobs, hasPicture, out } = command;
  mkdirSync(out, { recursive: true });
  const picture = commandLineOf(PICTURE_FLAGS, 1, nodesScale);
  const commandLines = commandLinesOf(rows, seeds, nodesScale);
  if (hasPicture) commandLines.push(picture);
  const run = { seeds, nodesScale, commit: commitOf() };
  const earlier = readLines(join(out, 'storm-table.json'));
  const results = new Map<string, JobResult>();
  // Written after each storm: a table takes hours, and what is measured is not to be lost with the rest.
  const write = (): TableLine[] => {
    const complete = rows.filter((row) =>
      commandLinesOf([row], seeds, nodesScale).every((each) => results.has(each)),
    );
    const lines = complete.map((row) => lineOf(row, results, run));
    writeTable(out, mergedLines(earlier, lines));
    return lines;
  };
  await runJobs(commandLines, jobs, (commandLine, result, seconds) => {
    results.set(commandLine, result);
    write();
    const said = result.type === 'failed' ? `: ${result.what}` : '';
    const done = `${results.size}/${commandLines.length}`;
    console.log(`${done} ${seconds.toFixed(0)} s  ${commandLine}${said}`);
  });
  printLines(write());
  if (hasPicture) drawPicture(join(out, 'storm-table.svg'), results.get(picture)!);
}

/** Rows that were measured before, each with its commit. */
function readLines(path: string): TableLine[] {
  if (!existsSync(path)) return [];
  const { rows } = JSON.parse(readFileSync(path, 'utf8'));
  return rows.map((line: TableLine) => ({ ...line, median: line.median ?? Infinity }));
}

function writeTable(out: string, lines: readonly TableLine[]): void {
  const report = { bench: 'storm-table', rows: lines };
  writeFileSync(join(out, 'storm-table.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(out, 'storm-table.md'), markdownOf(lines));
}

function drawPicture(path: string, result: JobResult): void {
  if (result.type === 'failed') {
    console.log(`no picture: ${result.what}`);
    return;
  }
  const { options, policies } = result.report;
  const title = `${options.nodes} nodes boot at once, 1 Gbit/s NICs, one origin`;
  writeFileSync(path, drawStorms(title, policies));
}
