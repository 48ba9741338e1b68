/** The fields of both daemons as the tables of docs/configuration.md. */
import type { Command } from 'commander';
import { type ConfigField, configFields } from './config-schema.ts';

export function configTable(command: Command): string {
  const rows = configFields(command).map(rowOf);
  return ['| field | value | default | what |', '|---|---|---|---|', ...rows].join('\n');
}

function rowOf(field: ConfigField): string {
  const { name, byDefault, description } = field;
  const shown = byDefault === '' ? '' : `\`${byDefault}\``;
  const cells = [`\`${name}\``, valueText(field), shown, description];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function valueText({ type, choices, value }: ConfigField): string {
  if (type === 'one of') return choices.map((each) => `\`${each}\``).join(', ');
  return type === 'text' ? value : type;
}
