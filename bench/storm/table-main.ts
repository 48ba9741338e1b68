/** `npm run bench -- storm --table`: every row of the figures table, median of the seeds, printed and written for the README. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawStorms } from './storm-chart.ts';
import { type JobResult, runJobs } from './storm-jobs.ts';
import { commitOf } from './storm-report.ts';
import { PICTURE_FLAGS } from './table.ts';
import type { TableCommand } from './table-flags.ts';
import { commandLineOf, commandLinesOf, lineOf, markdownOf, printLines } from './table-result.ts';

export async function runTable(command: TableCommand): Promise<void> {
  const { rows, seeds, nodesScale, hasPicture, out } = command;
  mkdirSync(out, { recursive: true });
  const picture = commandLineOf(PICTURE_FLAGS, 1, nodesScale);
  const commandLines = commandLinesOf(rows, seeds, nodesScale);
  if (hasPicture) commandLines.push(picture);
  let done = 0;
  const results = await runJobs(commandLines, (commandLine, result, seconds) => {
    done += 1;
    const said = result.type === 'failed' ? `: ${result.what}` : '';
    console.log(`${done}/${commandLines.length} ${seconds.toFixed(0)} s  ${commandLine}${said}`);
  });
  const lines = rows.map((row) => lineOf(row, results, seeds, nodesScale));
  printLines(lines);
  const options = { rows: [...new Set(rows.map(({ name }) => name))], seeds, nodesScale };
  const report = { bench: 'storm-table', commit: commitOf(), options, rows: lines };
  writeFileSync(join(out, 'storm-table.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(out, 'storm-table.md'), markdownOf(lines, seeds, nodesScale));
  if (hasPicture) drawPicture(join(out, 'storm-table.svg'), results.get(picture)!);
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
