/**
 * Task `CheckObj`: submitted objects have a state, at one look or within a time-out. With one, each
 * object counts once it has had the state: states of a job pass by.
 */
import {
  type Identity,
  readIdentity,
  readObject,
} from "../../../reconciler/kubernetes/read-field.ts";
import { follow } from "../follow.ts";
import { collectionPaths, readPlace } from "../object-call.ts";
import { objectsOf, readStateParams, type StateParams } from "../object-state.ts";
import type { Submitted } from "../state.ts";
import { mismatches } from "../subset.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import { forEach } from "../write.ts";

const PARALLEL = 8;
const NAMES_MAX = 20;
const MISMATCHES_MAX = 3;
const HIDDEN = "it differs; values of secrets are not shown";
const ABSENT = "it does not exist";

export const checkObject: TaskType = {
  name: "CheckObj",
  isPrefixed: true,
  runsDry: true,
  read({ params }) {
    const about = readStateParams(params, true);
    return async (run) => {
      const { objects } = objectsOf(run, about);
      if (run.isDryRun) return;
      const check = new Check(objects, about);
      if (about.timeout === 0) await check.look(run);
      else await check.watch(run, about.timeout);
    };
  },
};

type Seen = Identity & { namespace?: string; mismatch: string | null };

class Check {
  readonly #about: StateParams;
  readonly #objects: readonly Submitted[];
  /** By namespace and name: why an object does not have the state yet. */
  readonly #open: Map<string, string>;

  constructor(objects: readonly Submitted[], about: StateParams) {
    this.#about = about;
    this.#objects = objects;
    this.#open = new Map(objects.map((object) => [keyOf(object), ABSENT]));
  }

  async look(run: Run): Promise<void> {
    await forEach(this.#objects, PARALLEL, async (object) => {
      const body = await readPlace(run, object);
      const mismatch = body === null ? ABSENT : this.#mismatchOf(body);
      this.#note(run, keyOf(object), mismatch);
    });
    if (this.#open.size > 0) throw new TaskError(this.#failure());
  }

  async watch(run: Run, timeoutMs: number): Promise<void> {
    const namespaces = this.#objects.map(({ namespace }) => namespace);
    const [first] = this.#objects;
    if (first === undefined) return;
    const isOne = this.#objects.length === 1;
    const end = await follow<Seen>(run, {
      paths: collectionPaths(first.resource, namespaces),
      query: isOne ? { fieldSelector: `metadata.name=${first.name}` } : {},
      read: (json) => this.#read(json),
      changed: (_, after) => {
        if (after !== null) this.#note(run, keyOf({ namespace: null, ...after }), after.mismatch);
      },
      isDone: () => this.#open.size === 0,
      timeoutMs,
    });
    if (end.kind === "done") return;
    const problem = end.problem === null ? "" : ` (${end.problem})`;
    throw new TaskError(`context deadline exceeded: ${this.#failure()}${problem}`);
  }

  #read(json: unknown): Seen | null {
    const { metadata } = readObject<{ metadata: unknown }>(json);
    const identity = readIdentity(readObject(metadata));
    if (identity === null) return null;
    const { namespace } = readObject<{ namespace: string }>(metadata);
    const place = typeof namespace === "string" ? { namespace } : {};
    if (!this.#open.has(keyOf({ namespace: null, ...place, name: identity.name }))) return null;
    return { ...identity, ...place, mismatch: this.#mismatchOf(json) };
  }

  #mismatchOf(json: unknown): string | null {
    const found = mismatches(json, this.#about.state, this.#about.listMatch);
    if (found.length > 0 && this.#resource() === "secrets") return HIDDEN;
    const more = found.length > MISMATCHES_MAX ? ` and ${found.length - MISMATCHES_MAX} more` : "";
    return found.length === 0 ? null : `${found.slice(0, MISMATCHES_MAX).join("; ")}${more}`;
  }

  #note(run: Run, key: string, mismatch: string | null): void {
    if (!this.#open.has(key)) return;
    if (mismatch === null) this.#open.delete(key);
    else {
      this.#open.set(key, mismatch);
      run.say("detail", this.#stateMismatch(key, mismatch));
    }
  }

  #stateMismatch(key: string, mismatch: string): string {
    const name = key.slice(key.indexOf("/") + 1);
    return `state mismatch in ${this.#resource()} ${name}: ${mismatch}`;
  }

  #resource(): string {
    return this.#objects[0]?.resource.resource ?? "";
  }

  /** Every name, and the reason of the first. */
  #failure(): string {
    const names = [...this.#open.keys()].map((key) => key.slice(key.indexOf("/") + 1));
    const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : "";
    const listed = `${names.slice(0, NAMES_MAX).join(" ")}${more}`;
    const [first] = this.#open;
    const why = first === undefined ? "" : `: ${this.#stateMismatch(...first)}`;
    return `failed to validate ${this.#resource()} [${listed}]${why}`;
  }
}

const keyOf = ({ namespace, name }: { namespace: string | null; name: string }): string =>
  `${namespace ?? ""}/${name}`;
