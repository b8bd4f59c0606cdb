/**
 * Task `CheckNode`: Nodes have a state, at one look or within a time-out. Selected Nodes have it at
 * the same time; those of `refTaskId` each count once they had it, since a hurt Node is replaced.
 */
import * as v from "valibot";
import {
  type Identity,
  readIdentity,
  readObject,
} from "../../../reconciler/kubernetes/read-field.ts";
import { count } from "../../../schema/number.ts";
import { follow } from "../follow.ts";
import { duration, readParams, withTextLabels } from "../param.ts";
import { formatSelectors, isSelected, type Labels, nodeSelectors, queryOf } from "../selector.ts";
import { mismatches } from "../subset.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import { listObjects } from "../write.ts";

const Params = v.strictObject({
  selectors: v.nullish(nodeSelectors, null),
  refTaskId: v.nullish(v.string("expected a task id"), null),
  state: v.nullish(v.record(v.string(), v.unknown(), "expected a map"), null),
  count: v.nullish(count, null),
  timeout: v.nullish(duration, "0s"),
});

const NODES = "/api/v1/nodes";
/** One look waits this long for an API server that is away. */
const LOOK_MS = 60_000;
const NAMES_MAX = 10;

export const checkNode: TaskType = {
  name: "CheckNode",
  isPrefixed: true,
  runsDry: true,
  read({ params }) {
    const { selectors, refTaskId, state, count: wanted, timeout } = readParams(Params, params);
    if ((selectors === null) === (refTaskId === null)) {
      throw new TaskError("must specify either 'selectors' or 'refTaskId'");
    }
    if (state === null) throw new TaskError("missing parameter 'state'");
    const about = { state: withTextLabels(state), count: wanted };
    return async (run) => {
      const names = refTaskId === null ? null : run.state.nodes(refTaskId);
      if (run.isDryRun) return;
      if (names?.length === 0) throw new TaskError(`task ${refTaskId} chose no node`);
      const check = names === null ? new Selected(about, selectors ?? []) : new Named(about, names);
      await (timeout === 0 ? look(run, check) : watch(run, check, timeout));
    };
  },
};

type About = { state: Readonly<Record<string, unknown>>; count: number | null };

type Seen = Identity & { mismatch: string | null };

type Check = {
  query: Readonly<Record<string, string>>;
  read(json: unknown): Seen | null;
  note(before: Seen | null, after: Seen | null): void;
  isDone(): boolean;
  /** What is missing, for people. */
  failure(): string;
};

async function look(run: Run, check: Check): Promise<void> {
  const read = (json: unknown) => check.read(json);
  const ask = { path: NODES, query: check.query, what: "nodes", read };
  for (const seen of await listObjects(run, ask, run.clock.monoMs() + LOOK_MS)) {
    check.note(null, seen);
  }
  if (!check.isDone()) throw new TaskError(check.failure());
}

async function watch(run: Run, check: Check, timeoutMs: number): Promise<void> {
  const end = await follow<Seen>(run, {
    paths: [NODES],
    query: check.query,
    read: (json) => check.read(json),
    changed: (before, after) => check.note(before, after),
    isDone: () => check.isDone(),
    timeoutMs,
  });
  if (end.kind === "done") return;
  const problem = end.problem === null ? "" : ` (${end.problem})`;
  throw new TaskError(`context deadline exceeded: ${check.failure()}${problem}`);
}

function seenIn(json: unknown, { state }: About): { seen: Seen; labels: Labels } | null {
  const { metadata } = readObject(json);
  const identity = readIdentity(readObject(metadata));
  if (identity === null) return null;
  // The API server makes labels a map of texts.
  const labels = readObject(readObject(metadata)["labels"]) as Labels;
  const [mismatch = null] = mismatches(json, state);
  return { seen: { ...identity, mismatch }, labels };
}

/** Nodes that a selector matches now. */
class Selected implements Check {
  readonly query: Readonly<Record<string, string>>;
  readonly #about: About;
  readonly #selectors: readonly Labels[];
  readonly #nodes = new Map<string, string | null>();

  constructor(about: About, selectors: readonly Labels[]) {
    this.#about = about;
    this.#selectors = selectors;
    this.query = queryOf(selectors);
  }

  read(json: unknown): Seen | null {
    const found = seenIn(json, this.#about);
    return found !== null && isSelected(this.#selectors, found.labels) ? found.seen : null;
  }

  note(before: Seen | null, after: Seen | null): void {
    if (before !== null) this.#nodes.delete(before.name);
    if (after !== null) this.#nodes.set(after.name, after.mismatch);
  }

  #verified(): number {
    return [...this.#nodes.values()].filter((mismatch) => mismatch === null).length;
  }

  isDone(): boolean {
    const { count: wanted } = this.#about;
    const verified = this.#verified();
    return wanted === null ? verified === this.#nodes.size && verified > 0 : verified === wanted;
  }

  failure(): string {
    const { size } = this.#nodes;
    const what = formatSelectors(this.#selectors);
    if (size === 0) return `no node matches ${what}`;
    const wanted = this.#about.count ?? size;
    return `verified ${this.#verified()} of ${size} nodes with ${what}, expected ${wanted}${sayWhy(
      this.#nodes,
    )}`;
  }
}

/** Nodes that an earlier task chose. */
class Named implements Check {
  readonly query: Readonly<Record<string, string>>;
  readonly #about: About;
  readonly #total: number;
  /** Why a Node did not have the state yet. */
  readonly #open: Map<string, string | null>;

  constructor(about: About, names: readonly string[]) {
    this.#about = about;
    this.#open = new Map(names.map((name) => [name, "it does not exist"]));
    this.#total = this.#open.size;
    const [only] = names;
    this.query = names.length === 1 ? { fieldSelector: `metadata.name=${only}` } : {};
  }

  read(json: unknown): Seen | null {
    const found = seenIn(json, this.#about);
    return found !== null && this.#open.has(found.seen.name) ? found.seen : null;
  }

  note(before: Seen | null, after: Seen | null): void {
    const name = after?.name ?? before?.name ?? "";
    if (!this.#open.has(name)) return;
    if (after === null) this.#open.set(name, `it was deleted; before: ${this.#open.get(name)}`);
    else if (after.mismatch === null) this.#open.delete(name);
    else this.#open.set(name, after.mismatch);
  }

  isDone(): boolean {
    return this.#total - this.#open.size >= (this.#about.count ?? this.#total);
  }

  failure(): string {
    const verified = this.#total - this.#open.size;
    const wanted = this.#about.count ?? this.#total;
    return `verified ${verified} of ${this.#total} nodes, expected ${wanted}${sayWhy(this.#open)}`;
  }
}

/** The nodes without the state, and why the first lacks it. */
function sayWhy(nodes: ReadonlyMap<string, string | null>): string {
  const open = [...nodes].flatMap(([name, why]) => (why === null ? [] : [{ name, why }]));
  const [first] = open;
  if (first === undefined) return "";
  const more = open.length > NAMES_MAX ? ` and ${open.length - NAMES_MAX} more` : "";
  const names = open.slice(0, NAMES_MAX).map(({ name }) => name);
  return `: state mismatch in node ${first.name}: ${first.why} [${names.join(" ")}${more}]`;
}
