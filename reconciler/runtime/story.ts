/**
 * The log of a fleet: one line for each event that the leader has committed. `node` is the fleet's
 * id, `kube_node` the name of the Node object, `reason` the event's text. A standby commits
 * nothing, so it repeats no line. `info` is ordinary, `warn` needs attention, `error` needs a
 * person.
 */
import { type EventDraft, EVENTS } from "../../schema/event.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Clock, Log } from "../core/clock.ts";
import { LineBudget } from "./line-budget.ts";
import { adviceOf } from "../core/kubernetes/refusal-cause.ts";
import type { Change } from "../core/store.ts";
import { traceIdOf } from "../core/trace.ts";

/** A repair logs about a dozen lines. Lines that need a person have their own budget. */
const EACH = { burst: 40, perSecond: 0.1 };
const ALL = { burst: 5_000, perSecond: 50 };

export type StoryPorts = {
  clock: Pick<Clock, "monoMs">;
  log: Log;
  /** For nodes that the change does not contain. */
  node(id: NodeId): Node | undefined;
};

export class Story {
  private readonly ports: StoryPorts;
  private readonly budgets: Record<"ordinary" | "urgent", LineBudget>;

  constructor(ports: StoryPorts) {
    this.ports = ports;
    this.budgets = {
      ordinary: new LineBudget(EACH, ALL),
      urgent: new LineBudget(EACH, ALL),
    };
  }

  /** Called after each committed change. */
  change({ events, nodes }: Change): void {
    if (events.length === 0) return;
    const changed = new Map(nodes.map((node) => [node.id, node]));
    /** The last text of each node, because a verdict and the phase after it have the same. */
    const said = new Map<NodeId, string>();
    for (const event of events) {
      const { node: id, message } = event;
      const node = id === null ? null : (changed.get(id) ?? this.ports.node(id) ?? null);
      const words = wordsOf(event, node);
      if (words === null) continue;
      if (event.kind === "node.suspect" && id !== null && said.get(id) === message) continue;
      if (id !== null) said.set(id, message);
      this.tell(words[0], words[1], event, node);
    }
  }

  private tell(level: Level, words: string, event: EventDraft, node: Node | null): void {
    const { clock, log } = this.ports;
    const { kind, pool, session, actor, message } = event;
    const who = {
      ...(event.node === null ? {} : { node: event.node, kube_node: node?.kube?.name ?? null }),
      ...(pool === null ? {} : { pool }),
    };
    const budget = this.budgets[level === "error" ? "urgent" : "ordinary"];
    const turn = budget.take(event.node ?? `pool ${pool ?? ""}`, clock.monoMs());
    if (turn === "no") return;
    if (turn !== "yes") {
      const about = turn === "first" ? who : {};
      const advice = "`navarch events` lists all of them";
      return log("warn", "events come faster than they are logged", { ...about, advice });
    }
    const advice = kind === "kube.refused" ? adviceOf(node?.kube?.refusal?.cause) : null;
    log(level, words, {
      event: kind,
      ...who,
      ...(session === null ? {} : { session, trace_id: traceIdOf(session) }),
      ...(actor === "navarch" ? {} : { actor }),
      reason: message,
      ...(advice === null ? {} : { advice }),
    });
  }
}

type Level = "debug" | "info" | "warn" | "error";
type Words = readonly [Level, string];

/** The level and words of an event's line. `node`: its record after the change, if any. */
export function wordsOf({ kind, actor, emptied }: EventDraft, node: Node | null): Words | null {
  const words: Words | null = EVENTS[kind];
  if (kind === "node.drained" && emptied !== true) return ["warn", "drain incomplete"];
  // Also sent during a drain: when work is first seen on the node, or the purpose changes.
  const drain = kind === "node.draining" && node?.phase.kind === "draining" ? node.phase : null;
  if (drain?.sawWork === true) return ["info", "drain in progress"];
  if (kind === "kube.uncordoned" && actor !== "navarch") return ["warn", "Node uncordoned by hand"];
  if (kind === "kube.cordoned" && actor !== "navarch") return ["info", "Node cordoned by hand"];
  // Navarch deletes the object of a gone machine.
  if (kind === "kube.lost" && (node === null || node.phase.kind === "gone")) {
    return ["info", "Node object removed"];
  }
  return words;
}
