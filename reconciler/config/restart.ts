/**
 * Separates what a reload may change from what takes a restart, by the tables of `schema/config/`.
 * Pure.
 */
import type { Config } from "../../schema/config.ts";
import { metaOf, nameOf, type Table } from "../../schema/config/field.ts";
import { ROOT } from "../../schema/config/root.ts";

/** A key of the file, and its names in the normalised configuration. */
type Fixed = { key: string; names: readonly (readonly string[])[] };

/** `server.address` is two values of the normalised configuration. */
const ADDRESS = [
  ["server", "host"],
  ["server", "port"],
];

/** A mapping without any key that can change counts as one: it may be absent as a whole. */
function fixedIn(table: Table, keys: readonly string[], names: readonly string[]): Fixed[] {
  return Object.entries(table).flatMap(([key, field]): Fixed[] => {
    const path = [...keys, key];
    const to = [...names, nameOf(key, field)];
    const meta = metaOf(field);
    if (meta.kind === "mapping") {
      const isWhole = Object.values(meta.keys).every((one) => "restart" in metaOf(one));
      return isWhole ? [{ key: path.join("."), names: [to] }] : fixedIn(meta.keys, path, to);
    }
    if (meta.restart !== true) return [];
    return [{ key: path.join("."), names: key === "address" ? ADDRESS : [to] }];
  });
}

const { server, kubernetes, slurm, provisioners } = ROOT;
const FIXED = fixedIn({ server, kubernetes, slurm, provisioners }, [], []);

/** Whether a change of the key takes a restart. */
export function takesRestart(key: string): boolean {
  return FIXED.some((one) => key === one.key || key.startsWith(`${one.key}.`));
}

/** `next` with the running values of everything that takes a restart, and the keys that differ. */
export function keepFixed(running: Config, next: Config): { config: Config; kept: string[] } {
  const kept: string[] = [];
  let config = next;
  for (const { key, names } of FIXED) {
    for (const path of names) {
      const before = valueAt(running, path);
      if (JSON.stringify(before) === JSON.stringify(valueAt(next, path))) continue;
      config = withValue(config, path, before) as Config;
      if (!kept.includes(key)) kept.push(key);
    }
  }
  return { config, kept };
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce((at: unknown, name) => Object(at)[name] as unknown, value);
}

function withValue(value: object, path: readonly string[], to: unknown): object {
  const [name = "", ...rest] = path;
  const inner = Reflect.get(value, name) as object;
  return { ...value, [name]: rest.length === 0 ? to : withValue(inner, rest, to) };
}
