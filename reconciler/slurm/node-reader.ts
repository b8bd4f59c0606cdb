/**
 * Reads single nodes before and after a write. Requests that come while one is under way share the
 * next call, so eight nodes that are drained at once cost the controller one call and not eight.
 */
import type { Clock } from "../core/clock.ts";
import type { SlurmClient } from "../core/slurm/client.ts";
import type { SlurmNode } from "../core/slurm/object.ts";

export type NodeRead =
  | { kind: "ok"; node: SlurmNode }
  | { kind: "absent" }
  | { kind: "failed"; message: string };

type Batch = { names: Set<string>; answer: Promise<ReadonlyMap<string, NodeRead>> };

export class NodeReader {
  readonly #client: SlurmClient;
  readonly #clock: Pick<Clock, "monoMs">;
  readonly #note: (rows: readonly SlurmNode[], askedAt: number) => void;
  #last: Promise<unknown> = Promise.resolve();
  /** Gathers names until the call before it has ended. */
  #next: Batch | null = null;

  constructor(
    client: SlurmClient,
    clock: Pick<Clock, "monoMs">,
    note: (rows: readonly SlurmNode[], askedAt: number) => void,
  ) {
    this.#client = client;
    this.#clock = clock;
    this.#note = note;
  }

  /** The node as it is after this call was made. */
  async read(name: string): Promise<NodeRead> {
    this.#next ??= this.#open();
    const { names, answer } = this.#next;
    names.add(name);
    return (await answer).get(name) ?? { kind: "absent" };
  }

  #open(): Batch {
    const names = new Set<string>();
    const answer = this.#last.then(() => {
      this.#next = null;
      return this.#ask([...names]);
    });
    this.#last = answer;
    return { names, answer };
  }

  async #ask(names: readonly string[]): Promise<ReadonlyMap<string, NodeRead>> {
    const askedAt = this.#clock.monoMs();
    const answer = await this.#client.nodes(names);
    if (answer.kind === "ok") {
      const wanted = answer.value.filter(({ name }) => names.includes(name));
      this.#note(wanted, askedAt);
      return new Map(wanted.map((node) => [node.name, { kind: "ok", node }]));
    }
    // One name that Slurm does not know fails the call for all: each is asked for on its own.
    if (answer.kind === "refused" && names.length > 1) return this.#askEach(names);
    const { message } = answer;
    const isAbsent = answer.kind === "refused" && /invalid node|not found/i.test(message);
    const read: NodeRead = isAbsent ? { kind: "absent" } : { kind: "failed", message };
    return new Map(names.map((name) => [name, read]));
  }

  async #askEach(names: readonly string[]): Promise<ReadonlyMap<string, NodeRead>> {
    const reads = await Promise.all(names.map((name) => this.#ask([name])));
    return new Map(reads.flatMap((read) => [...read]));
  }
}
