/**
 * Reads, completes and prints a section by its table (`schema/config/`): what one place says, the
 * defaults for the rest, and the normalised form in the keys of a file again.
 */
import {
  type Kind,
  type Meta,
  metaOf,
  nameOf,
  type OwnMeta,
  type PartOf,
  type Share,
  type Table,
} from "../../schema/config/field.ts";
import { formatDuration } from "../../schema/duration.ts";
import { checkSection } from "./check.ts";
import { FORMS } from "./form.ts";
import { readHeaders, readHook } from "./hook.ts";
import { readLabels } from "./label.ts";
import type { Dialect } from "./layer.ts";
import type { Section } from "./section.ts";
import { formatShare, readShare } from "./share.ts";
import { readTaints } from "./taint.ts";
import { readWord, readWords } from "./value.ts";

type Reader = (section: Section, key: string, field: Meta) => unknown;
export type Plain = Record<string, unknown>;

const READERS: Readonly<Record<Kind, Reader>> = {
  text: readForm,
  integer: (section, key, field) => section.integer(key, field),
  number: (section, key, field) => section.number(key, field),
  flag: (section, key) => section.flag(key),
  duration: (section, key, field) => section.duration(key, field),
  choice: (section, key, { of = [] }) => section.choice(key, of),
  texts: readTexts,
  share: readShare,
  grace: (section, key) => (scalarOf(section, key) === -1 ? -1 : section.duration(key)),
  auto: readAuto,
  labels: readLabels,
  taints: readTaints,
  headers: readHeaders,
  hook: readHook,
  hosts: readHosts,
  word: (section, key) => section.read(key, readWord),
  prose: (section, key) => section.read(key, (all, tree) => readWord(all, tree, true)),
  words: (section, key) => section.read(key, readWords),
};

function scalarOf(section: Section, key: string): unknown {
  const value = section.look(key)?.value;
  return value?.kind === "scalar" ? value.value : undefined;
}

function readForm(section: Section, key: string, { form }: Meta): string | null {
  const text = section.text(key);
  if (text === null || form === undefined) return text;
  const { code, answer } = FORMS[form](text);
  return answer.ok ? answer.value : section.fail(key, code, answer.message, answer.hint);
}

function readTexts(section: Section, key: string, { form }: Meta): string[] | null {
  const texts = section.texts(key);
  if (texts === null || form === undefined) return texts;
  return texts.flatMap((text) => {
    const { code, answer } = FORMS[form](text);
    if (!answer.ok) section.fail(key, code, answer.message, answer.hint);
    return answer.ok ? [answer.value] : [];
  });
}

function readAuto(section: Section, key: string): boolean | "auto" | null {
  return scalarOf(section, key) === "auto" ? "auto" : section.flag(key);
}

function readHosts(section: Section, key: string): string | null {
  const hosts = section.texts(key);
  const isBad = hosts?.some((host) => /[\s,]/.test(host)) === true;
  if (isBad) section.fail(key, "host", "an entry must not contain spaces or commas");
  return hosts?.join(",") ?? null;
}

export function readField(section: Section, key: string, field: Meta | OwnMeta): unknown {
  const entry = section.look(key);
  if (field.unused === true && entry !== null) {
    section.problems.warning(entry.at, entry.path, "no_effect", "has no effect in this version");
  }
  const { kind, required } = field;
  if (typeof required === "string") {
    const isEmpty = kind === "word" && scalarOf(section, key) === "";
    if (entry === null || isEmpty) section.missing(key, required === "" ? null : required);
  }
  return field.kind === "own" ? null : READERS[field.kind](section, key, field);
}

/** The values that are written; the caller calls `finish` when it has read its own keys. */
export function readPart<T extends Table>(section: Section, table: T): PartOf<T> {
  const part: Plain = {};
  for (const [key, field] of Object.entries(table)) {
    const meta = metaOf(field);
    const value =
      meta.kind === "mapping"
        ? readMapping(section.map(key), meta.keys)
        : readField(section, key, meta);
    if (meta.kind !== "own") part[nameOf(key, field)] = value;
  }
  checkSection(section, table, part as PartOf<Table>);
  return part as PartOf<T>;
}

/** The same for a mapping without other keys. */
export function readMapping<T extends Table>(section: Section, table: T): PartOf<T> {
  const part = readPart(section, table);
  section.finish();
  return part;
}

function formatField(field: Meta, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  const { kind } = field;
  if (kind === "share") return formatShare(value as Share);
  if (kind === "grace" && value === -1) return -1;
  if (kind === "hosts")
    return String(value)
      .split(",")
      .filter((one) => one !== "");
  return kind === "duration" || kind === "grace" ? formatDuration(Number(value)) : value;
}

/**
 * A section in the keys of a file; `owns` has the values of the table's own keys. An empty mapping,
 * and an unset key without effect, is `null`.
 */
export function formatSection(
  table: Table,
  value: object,
  dialect: Dialect,
  owns: Plain = {},
): Plain {
  const printed: Plain = {};
  for (const [key, field] of Object.entries(table)) {
    const meta = metaOf(field);
    const spelled = (dialect === "map" && "map" in meta ? meta.map : null) ?? key;
    const given = (value as Plain)[nameOf(key, field)] ?? null;
    if (meta.kind === "own" || meta.kind === "mapping") {
      const isOwn = meta.kind === "own";
      const inner = isOwn ? owns[key] : formatSection(meta.keys, given ?? {}, dialect);
      hoist(printed, spelled, inner ?? null);
    } else {
      const { unused, default: fallback } = meta;
      const isIdle = unused === true && JSON.stringify(given) === JSON.stringify(fallback);
      printed[spelled] = isIdle ? null : formatField(meta, given);
    }
  }
  return printed;
}

/** Sets a value; keys of it that begin with `../` are set beside it. */
function hoist(printed: Plain, key: string, value: unknown): void {
  if (value === null || typeof value !== "object" || Array.isArray(value)) printed[key] = value;
  else {
    const all = Object.entries(value).filter(([, one]) => one !== null);
    const own = all.filter(([name]) => !name.startsWith("../"));
    for (const [name, one] of all) if (name.startsWith("../")) printed[name.slice(3)] = one;
    printed[key] = own.length === 0 ? null : Object.fromEntries(own);
  }
}
