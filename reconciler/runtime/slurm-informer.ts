/**
 * The loop's view of a Slurm cluster: changes for the fold, doubtful NodeNames, and which nodes are
 * awaited. Memory only, because a new process observes for itself.
 */
import type { Config } from "../../schema/config.ts";
import type { Log } from "../core/clock.ts";
import type { Fleet, SlurmSight } from "../core/fleet.ts";
import type { SlurmKnown, SlurmNews } from "../core/fold/slurm.ts";
import { attendedOf } from "../core/slurm/attend.ts";
import { slotNames } from "../core/slurm/slot-name.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import type { Change } from "../core/store.ts";

const NOTHING: SlurmKnown = { ambiguous: new Map(), alarms: [] };

export class SlurmInformer {
  readonly #sink: SlurmSink | null;
  readonly #log: Log;
  #version = -1;
  #fleetMoved = true;
  /** The controller was away since the last list that was folded, and before that list. */
  #wasDark = true;
  #isAfterDark = true;
  #config: Config | null = null;
  #known = NOTHING;
  #rows = { version: -1, byName: new Map<string, SlurmNode>() };

  constructor(sink: SlurmSink | null, log: Log) {
    this.#sink = sink;
    this.#log = log;
  }

  /** Called after each committed change of the fleet. */
  told(change: Change): void {
    if (change.nodes.length > 0 || change.removedNodes.length > 0) this.#fleetMoved = true;
  }

  /** The last fold may not have been written, so everything is folded again. */
  doubt(): void {
    this.#version = -1;
    this.#wasDark ||= this.#isAfterDark;
  }

  /** The list, if it, the fleet or the configuration has changed since the last fold. */
  news(config: Config): SlurmNews | null {
    if (this.#sink === null) return null;
    const { version, known, list } = this.#sink.nodes();
    // A stale list does not prove that a drain was removed.
    if (!known || this.#sink.dark() !== null) {
      this.#wasDark = true;
      return null;
    }
    const isSame = version === this.#version && config === this.#config;
    if (isSame && !this.#fleetMoved) return null;
    this.#version = version;
    this.#config = config;
    this.#fleetMoved = false;
    this.#isAfterDark = this.#wasDark;
    this.#wasDark = false;
    const { nodeAliases: aliases, onUndrain, onForeignDrain } = config.slurm;
    const names = { aliases, slots: slotNames(config.pools) };
    const isAfterDark = this.#isAfterDark;
    return { nodes: list, names, onUndrain, onForeignDrain, isAfterDark };
  }

  /** Called before the fold's change is committed. */
  note(known: SlurmKnown | null): void {
    if (known === null) return;
    for (const message of known.alarms) {
      if (!this.#known.alarms.includes(message)) this.#log("error", message);
    }
    this.#known = known;
  }

  sight({ slurm }: Config): SlurmSight | null {
    if (this.#sink === null) return null;
    const { ambiguous } = this.#known;
    const { known } = this.#sink.nodes();
    return { dark: this.#sink.dark(), known, mirrorsCordon: slurm.mirror.cordon, ambiguous };
  }

  /** As the controller last listed it. */
  row(name: string): SlurmNode | null {
    const { version = -1, list = [] } = this.#sink?.nodes() ?? {};
    if (version !== this.#rows.version) {
      this.#rows = { version, byName: new Map(list.map((row) => [row.name, row])) };
    }
    return this.#rows.byName.get(name) ?? null;
  }

  ambiguous(): SlurmKnown["ambiguous"] {
    return this.#known.ambiguous;
  }

  /** Asks for frequent lists while something is awaited. */
  tend(fleet: Fleet, now: number): void {
    this.#sink?.attend(attendedOf(fleet, now));
  }

  /** Doubtful names, and drains of Navarch on names that no node has, for people. */
  alarms(): readonly string[] {
    return this.#known.alarms;
  }
}
