/**
 * What a daemon's configuration file may hold: a field per flag, of the same name without the dashes, checked by what checks the
 * flag. So a flag cannot lack its field, nor a field its flag; docs/configuration.md is compared with it by a test.
 */
import { type Command, InvalidArgumentError, type Option } from 'commander';
import { z } from 'zod';

/** Flags that are about the file, or are commander's own. */
const NO_FIELDS = ['config', 'check', 'help'];

export interface ConfigField {
  /** As in the file: `cache-max`. */
  readonly name: string;
  readonly type: 'true or false' | 'yes or no' | 'text' | 'one of';
  /** Of `one of`. */
  readonly choices: readonly string[];
  /** What the flag calls it: `size`, `host:port`; empty for true or false. */
  readonly value: string;
  /** As the flag's help shows it; empty when there is none. */
  readonly byDefault: string;
  readonly description: string;
  readonly option: Option;
}

export function configFields(command: Command): ConfigField[] {
  return command.options.flatMap((option) => {
    const name = option.long?.replace(/^--/, '');
    if (name === undefined || NO_FIELDS.includes(name)) return [];
    const { description, argChoices: choices = [], defaultValue, defaultValueDescription } = option;
    const shown = defaultValueDescription ?? (defaultValue === undefined ? '' : `${defaultValue}`);
    const value = /<(.+)>/.exec(option.flags)?.[1] ?? '';
    const type = typeOf(option);
    return [{ name, type, choices, value, byDefault: shown, description, option }];
  });
}

/** Values as the flags' own parsers give them. Keys nobody knows are refused. */
export function configSchema(fields: readonly ConfigField[]): z.ZodObject {
  return z.strictObject(Object.fromEntries(fields.map((field) => [field.name, typed(field)])));
}

function typeOf(option: Option): ConfigField['type'] {
  if (option.isBoolean()) return 'true or false';
  if (option.argChoices === undefined) return 'text';
  return option.argChoices.join() === 'yes,no' ? 'yes or no' : 'one of';
}

function typed(field: ConfigField): z.ZodType {
  switch (field.type) {
    case 'true or false':
      return z.boolean({ error: 'Write true or false.' }).optional();
    case 'yes or no': {
      // Other programs write true for it.
      const yesOrNo = z.preprocess(
        (value) => (typeof value === 'boolean' ? (value ? 'yes' : 'no') : value),
        z.enum(['yes', 'no'], { error: 'Write yes or no.' }),
      );
      return yesOrNo.optional();
    }
    case 'one of':
      return z.enum(field.choices, { error: `Write ${field.choices.join(' or ')}.` }).optional();
    case 'text':
      return z
        .string({ error: `Write a ${field.value}.` })
        .min(1, { error: `Write a ${field.value}.` })
        .transform((value, context) => parsed(field.option, value, context))
        .optional();
  }
}

/** Through the parser of the flag, whose complaint is the field's. */
function parsed(option: Option, text: string, context: z.RefinementCtx): unknown {
  if (option.parseArg === undefined) return text;
  try {
    return option.parseArg(text, undefined);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
}
