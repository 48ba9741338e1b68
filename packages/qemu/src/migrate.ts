/** Carries out a migration plan on two QEMUs. Either the guest goes on at the destination, or it does at the source. */
import { OperatorError } from '@bootswarm/stdx';
import type { MigrationPlan, MigrationStep } from './migration-plan.ts';
import type { QmpClient } from './qmp-client.ts';
import { isObject, type QmpEvent } from './qmp-message.ts';

export interface MigrationEnds {
  readonly source: QmpClient;
  readonly destination: QmpClient;
}

/** As QEMU counted them. */
export interface MigrationResult {
  /** For which the guest stood still. */
  readonly downtimeMs: number;
  readonly diskBytes: number;
  readonly memoryBytes: number;
}

/** Takes as long as moving the memory takes. Throws OperatorError `migration-failed`, or what QmpClient.execute() throws. */
export async function migrate(plan: MigrationPlan, ends: MigrationEnds): Promise<MigrationResult> {
  let diskBytes = 0;
  try {
    for (const step of plan.steps) {
      const event = await play(step, ends[step.at]);
      if (event?.name === 'BLOCK_JOB_COMPLETED') diskBytes = numberOf(event.data.offset);
    }
  } catch (error) {
    for (const step of plan.undo) await play(step, ends[step.at]).catch(() => {});
    throw error;
  }
  const answer = await ends.source.execute({ execute: 'query-migrate' });
  for (const { at, command } of plan.finish) await ends[at].execute(command);
  const { downtime, ram } = isObject(answer) ? answer : {};
  const memoryBytes = numberOf(isObject(ram) ? ram.transferred : 0);
  return { downtimeMs: numberOf(downtime), diskBytes, memoryBytes };
}

async function play(step: MigrationStep, qmp: QmpClient): Promise<QmpEvent | undefined> {
  const { command, until } = step;
  if (until === undefined) {
    await qmp.execute(command);
    return undefined;
  }
  const isWanted = ({ name, data }: QmpEvent): boolean =>
    name === until.event && Object.entries(until.data).every(([key, value]) => data[key] === value);
  // As long as it takes: if QEMU ends, so does the connection.
  const coming = qmp.event(until.event, (event) => isWanted(event) || isFailure(event), 0);
  await qmp.execute(command);
  const event = await coming;
  if (isWanted(event) && !isFailure(event)) return event;
  throw new OperatorError(
    'migration-failed',
    `the migration failed at ${command.execute}: ${JSON.stringify(event.data)}`,
    "The guest goes on at the source. See what the destination's QEMU says, start it anew, and try again.",
  );
}

function isFailure({ name, data }: QmpEvent): boolean {
  if (name === 'MIGRATION') return data.status === 'failed' || data.status === 'cancelled';
  return name === 'BLOCK_JOB_ERROR' || (name === 'BLOCK_JOB_COMPLETED' && 'error' in data);
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
