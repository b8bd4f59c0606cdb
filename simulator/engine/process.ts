/**
 * One process of a simulated control plane: the production loop and ingest on a store, and its
 * hands on a Kubernetes cluster where the world has one.
 */
import type { Clock, Log } from "../../reconciler/core/clock.ts";
import { Ingest } from "../../reconciler/runtime/ingest.ts";
import { type LoopPorts, Reconciler } from "../../reconciler/runtime/loop.ts";
import { unadapted } from "../../reconciler/core/adapter.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { Kubernetes } from "../../reconciler/kubernetes/kubernetes.ts";
import { limited, Limiter } from "../../reconciler/kubernetes/limiter.ts";
import { heard } from "../../reconciler/kubernetes/refusal-log.ts";
import { wordFor } from "../../reconciler/core/upgrade/word.ts";
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Config } from "../../schema/config.ts";
import type { Gate } from "./gate.ts";
import { Line } from "./line.ts";
import { seeded } from "./setting.ts";

export type Life = { reconciler: Reconciler; ingest: Ingest };

export async function openLife(
  given: Omit<LoopPorts, "unavailable">,
  config: () => Config,
  policy: CompiledPolicy,
): Promise<Life> {
  const { store, clock } = given;
  const ports = { ...given, unavailable: unadapted(config().providers) };
  const snapshot = await store.load();
  const reconciler = await Reconciler.open(ports, config(), policy, "fleet");
  const ingest = new Ingest(
    store,
    clock,
    {
      presence: reconciler.presence,
      node: (id) => reconciler.fleet().nodes.get(id) ?? null,
      count: () => reconciler.fleet().nodes.size,
      nodeOfProviderId: () => [],
      nodeOfObject: (name) => reconciler.nodeOfObject(name),
      nodeLike: (id) => reconciler.nodeLike(id),
      takeLetters: (letters) => reconciler.takeLetters(letters),
      upgrade: (id) => wordFor(reconciler.fleet(), id),
      config,
    },
    snapshot.cursors,
  );
  return { reconciler, ingest };
}

/** The scheduler as it is composed for a real server, on a line that the process owns. */
export function openHands(
  server: KubeApi,
  from: { config: Config; clock: Clock; gate: Gate | null; log: Log; seed: number },
): { scheduler: Kubernetes; line: Line } {
  const { clock, gate, log, config } = from;
  const line = new Line(server);
  const limiter = new Limiter({ clock, perSecondMax: config.kubernetes.writesPerSecondMax });
  const paced = limited(gate === null ? line : gate.kube(line), limiter, clock);
  const api = heard(paced, { clock, log, isOptional: config.kubernetes.enabled === "auto" });
  const scheduler = new Kubernetes({
    api,
    limiter,
    server: "simulated",
    instance: "simulated-1",
    config: config.kubernetes,
    clock,
    random: seeded(from.seed),
    log,
  });
  return { scheduler, line };
}
