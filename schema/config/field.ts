/**
 * Keys of the configuration as schemas of valibot. A key's schema judges its value in the normalised
 * configuration, and its metadata says what else is known of it: type, bounds, unit, default, older
 * spellings, the sentence of `docs/configuration.md`, whether a change takes a restart. Reader,
 * printer, messages, page, JSON Schema and static types come from it.
 */
import * as v from "valibot";
import { amount, count, finite } from "../number.ts";

/** Longest text of one setting. */
export const TEXT_MAX = 65_536;
export const shortText = v.pipe(v.string(), v.maxLength(TEXT_MAX));

/** A share of a pool's desired size, or a fixed number of nodes: `20%` of 3 is max(1, 0.6) = 1. */
export type Share = { kind: "nodes"; nodes: number } | { kind: "percent"; percent: number };

/** What a pool puts on its Nodes; an empty value is none. */
export type PoolTaint = { key: string; value: string; effect: string };

/** Forms of texts, checked in `reconciler/config/form.ts`. */
export type Form =
  | "account"
  | "api-server"
  | "cron"
  | "dns-label"
  | "document"
  | "env"
  | "external"
  | "host-key"
  | "hostlist"
  | "jump"
  | "label-key"
  | "network"
  | "partition"
  | "pointer"
  | "program"
  | "slurm-hosts"
  | "slurm-rest"
  | "time-zone"
  | "url"
  | "user";

/** Kinds of keys, and their values in the normalised configuration. */
type Value = {
  text: string;
  integer: number;
  number: number;
  flag: boolean;
  /** Milliseconds; the name gets `Ms`. */
  duration: number;
  choice: string;
  texts: string[];
  share: Share;
  /** A duration, or -1. */
  grace: number;
  /** A boolean, or `auto`. */
  auto: boolean | "auto";
  /** Labels of Kubernetes. */
  labels: Record<string, string>;
  taints: PoolTaint[];
  /** Headers of HTTP, whose values may hold `${NAME}`. */
  headers: Record<string, string>;
  /** A URL that may hold `${NAME}`; empty is none. */
  hook: string;
  /** Any scalar as its text; empty is none. */
  word: string;
  /** The same, of several lines. */
  prose: string;
  /** A mapping from names to words. */
  words: Record<string, string>;
  /** Texts, joined by commas: the flat record of a provider has no lists. */
  hosts: string;
};
export type Kind = keyof Value;

export type More<T> = {
  /** In milliseconds for durations. Inclusive. */
  min?: number;
  max?: number;
  /** Exclusive. */
  above?: number;
  form?: Form;
  /** Allowed values of a choice, or of each text of a list. */
  of?: readonly string[];
  /** Without it, a missing value is `null` unless required. */
  default?: T;
  /** The default in words, where it depends on something else. */
  or?: string;
  /** A missing key is an error: with this hint, or reported by the section's own reader. */
  required?: true | string;
  /** Name in the normalised configuration, unless it is the key in camel case. */
  as?: string;
  /** Spelling of the map dialect; one that begins with `../` stands beside the section. */
  map?: string;
  /** In a form of another product: the key of a pool that it sets. */
  to?: readonly string[];
  /** Older spellings. */
  also?: readonly string[];
  /** Types of provider that have the setting; absent = all. */
  types?: readonly string[];
  /** Accepted for guides and older files; nothing reads it. */
  unused?: true;
  /** Types of provider that read a setting which is `unused` elsewhere. */
  usedBy?: readonly string[];
  /** Unit of a number, for people. */
  unit?: string;
  /** The release that brought it: configurations that were saved without it have the default. */
  since?: string;
  /** Takes effect at the next start; a reload keeps the old value. */
  restart?: true;
  /** A file whose content the provider reads when it is opened: a change opens it again. */
  opened?: true;
};

export type Meta = More<unknown> & {
  kind: Kind;
  help: string;
};

/** Of a key with a reader of its own; `type` is for the page. */
export type OwnMeta = More<string> & {
  kind: "own";
  help: string;
  type: string;
  /** Keys of the mapping, or of each mapping of the list, that it holds. */
  inner?: () => Table;
};
export type MappingMeta<T extends Table = Table> = Pick<More<unknown>, "since"> & {
  kind: "mapping";
  help: string;
  keys: T;
};

/** The schema of a value, which carries what `metaOf` tells. */
export type Key<T = unknown, M = Meta | OwnMeta | MappingMeta> = v.GenericSchema<T> & {
  /** Never there; carries the type. */
  readonly "~meta"?: M;
};
export type Table = { readonly [key: string]: Key };

/** It is asked for each key of each pool. */
const METAS = new WeakMap<object, unknown>();

export function metaOf<M>(key: Key<unknown, M>): M {
  const meta = METAS.get(key) ?? v.getMetadata(key as never);
  METAS.set(key, meta);
  return meta as M;
}

const pairs = v.record(shortText, shortText);

const KINDS: Readonly<Record<Exclude<Kind, "choice">, v.GenericSchema>> = {
  text: shortText,
  integer: count,
  number: finite,
  flag: v.boolean(),
  duration: amount,
  texts: v.array(shortText),
  share: v.union([
    v.object({ kind: v.literal("nodes"), nodes: count }),
    v.object({ kind: v.literal("percent"), percent: v.pipe(amount, v.maxValue(100)) }),
  ]),
  grace: finite,
  auto: v.union([v.boolean(), v.literal("auto")]),
  labels: pairs,
  taints: v.array(v.object({ key: shortText, value: shortText, effect: shortText })),
  headers: pairs,
  hook: shortText,
  hosts: shortText,
  word: shortText,
  prose: shortText,
  words: pairs,
};

function schemaOf(meta: Meta): v.GenericSchema {
  const { kind, of = [], min = -Infinity, max = Infinity, since } = meta;
  const within = v.check((given: unknown) => {
    return typeof given !== "number" || (given >= min && given <= max);
  }, `must be from ${min} to ${max}`);
  const sound = v.pipe(kind === "choice" ? v.picklist(of) : KINDS[kind], within);
  if (since !== undefined) return v.nullish(sound, meta.default ?? null);
  return meta.default === undefined && meta.required === undefined ? v.nullable(sound) : sound;
}

/** A key with exactly this metadata. */
export const keyWith = <T, M extends Meta>(meta: M): Key<T, M> =>
  v.pipe(schemaOf(meta), v.metadata(meta as never)) as Key<unknown> as Key<T, M>;

type Known = { default: unknown } | { required: true | string };
type Made<T, M, K> = Key<M extends Known ? T : T | null, M & { kind: K; help: string }>;

const make =
  <K extends Kind>(kind: K) =>
  <const M extends More<Value[K]>>(help: string, more?: M): Made<Value[K], M, K> =>
    keyWith({ kind, help, ...more }) as Key as Made<Value[K], M, K>;

export const text = make("text");
export const integer = make("integer");
export const number = make("number");
export const flag = make("flag");
export const duration = make("duration");
export const texts = make("texts");
export const share = make("share");
export const grace = make("grace");
export const auto = make("auto");
export const labels = make("labels");
export const taints = make("taints");
export const headers = make("headers");
export const hook = make("hook");
export const hosts = make("hosts");
export const word = make("word");
export const prose = make("prose");
export const words = make("words");

export const choice = <const Of extends readonly string[], const M extends More<Of[number]>>(
  help: string,
  of: Of,
  more?: M,
): Made<Of[number], M & { of: Of }, "choice"> =>
  keyWith({ kind: "choice", of, help, ...more }) as Key as never;

export const own = (
  help: string,
  type: string,
  more: More<string> & Pick<OwnMeta, "inner"> = {},
): Key<unknown, OwnMeta> =>
  v.pipe(v.unknown(), v.metadata({ kind: "own", type, help, ...more } as never)) as Key as never;

/** With `since`, a configuration that was saved without it has all defaults. */
export function mapping<const T extends Table>(
  help: string,
  keys: T,
  more: Pick<More<unknown>, "since"> = {},
): Key<ValueOf<T>, MappingMeta<T>> {
  const sound = v.object(entriesOf(keys)) as unknown as v.GenericSchema;
  const whole = more.since === undefined ? sound : v.nullish(sound, fillTable(keys) as never);
  const meta: MappingMeta<T> = { kind: "mapping", help, keys, ...more };
  return v.pipe(whole, v.metadata(meta as never)) as Key as never;
}

type Camel<K extends string> = K extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : K;
type NameOf<K extends string, M> = M extends { as: infer As extends string }
  ? As
  : M extends { kind: "duration" | "grace" }
    ? `${Camel<K>}Ms`
    : Camel<K>;
type OutputOf<F> = F extends Key<infer Out, unknown> ? Out : never;
type MetaOf<F> = F extends Key<unknown, infer M> ? M : never;
type Names<T extends Table> = {
  [K in keyof T & string as MetaOf<T[K]> extends OwnMeta ? never : NameOf<K, MetaOf<T[K]>>]: T[K];
};

/** The normalised form of a section. */
export type ValueOf<T extends Table> = {
  -readonly [N in keyof Names<T>]: OutputOf<Names<T>[N]>;
};

/** The values that one place has of a section; `null` = none. */
export type PartOf<T extends Table> = {
  -readonly [N in keyof Names<T>]: MetaOf<Names<T>[N]> extends MappingMeta<infer Keys>
    ? PartOf<Keys>
    : OutputOf<Names<T>[N]> | null;
};

/** The name of a key in the normalised configuration. */
export function nameOf(key: string, field: Key): string {
  const meta = metaOf(field);
  if ("as" in meta && meta.as !== undefined) return meta.as;
  const name = key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return meta.kind === "duration" || meta.kind === "grace" ? `${name}Ms` : name;
}

/** Entries of an object schema, without keys that have their own reader. */
export function entriesOf<T extends Table>(
  table: T,
): { [Name in keyof ValueOf<T>]: v.GenericSchema<ValueOf<T>[Name]> } {
  const own = Object.entries(table).filter(([, field]) => metaOf(field).kind !== "own");
  return Object.fromEntries(own.map(([key, field]) => [nameOf(key, field), field])) as never;
}

/** Takes each value from the first part that has it, or its default. */
export function fillTable<T extends Table>(
  table: T,
  ...parts: readonly Partial<PartOf<T>>[]
): ValueOf<T> {
  const value: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(table)) {
    const meta = metaOf(field);
    if (meta.kind === "own") continue;
    const name = nameOf(key, field);
    const said = parts
      .map((part) => (part as Record<string, unknown>)[name])
      .filter((one) => (one ?? null) !== null);
    value[name] =
      meta.kind === "mapping"
        ? fillTable(meta.keys, ...(said as PartOf<Table>[]))
        : (said[0] ?? meta.default ?? null);
  }
  return value as ValueOf<T>;
}
