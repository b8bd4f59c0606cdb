/** The Kubernetes cluster as Navarch sees it, and the permissions that it lacks there. */
import type { KubernetesView, PermissionsView } from "../../../schema/api.ts";
import { joinsCluster } from "../../../bootstrap/template/join-need.ts";
import type { Node } from "../../../schema/node.ts";
import { refusalOf } from "../../core/decide/kube.ts";
import { sayBroken } from "../../core/fold/uncordon.ts";
import { countNodes, missingNodeOf, notReadyNodeOf } from "../../core/safety/missing-node.ts";
import { isRepairCalledOff, loopOf, sayLoop } from "../../core/safety/uncordoned.ts";
import { iso } from "../view/node.ts";
import type { RoutePorts, Route } from "./route.ts";
import { Refusal } from "./request.ts";

/** A webhook that refuses everything would otherwise fill pages. */
const LINES_MAX = 50;

function refusedMarks(nodes: Iterable<Node>, now: number): KubernetesView["refusals"] {
  const lines: KubernetesView["refusals"] = [];
  for (const { id, kube } of nodes) {
    const refusal = kube === null ? null : refusalOf(kube, now);
    if (kube === null || refusal === null) continue;
    const since = iso(refusal.since);
    const what = `${refusal.what} of Node ${kube.name} (${id}) since ${since}`;
    lines.push({ message: `${what}: ${refusal.message}`, cause: refusal.cause ?? "other" });
    if (lines.length === LINES_MAX) break;
  }
  return lines;
}

function uncordoned(nodes: Iterable<Node>, now: number): string[] {
  const lines: string[] = [];
  for (const node of nodes) {
    if (lines.length >= LINES_MAX) break;
    const { kube } = node;
    if (isRepairCalledOff(node)) lines.push(sayBroken(node));
    const loop = kube === null ? null : loopOf(kube.uncordons ?? [], now);
    if (kube !== null && loop !== null) lines.push(sayLoop(kube, loop));
  }
  return lines;
}

function missingNodes(nodes: Iterable<Node>): KubernetesView["missing_nodes"] {
  const found: KubernetesView["missing_nodes"] = [];
  for (const node of nodes) {
    const missing = missingNodeOf(node);
    if (missing === null) continue;
    found.push({ node_id: node.id, name: missing.name, since: iso(missing.since) });
    if (found.length === LINES_MAX) break;
  }
  return found;
}

function notReadyNodes(nodes: Iterable<Node>): KubernetesView["not_ready_nodes"] {
  const found: KubernetesView["not_ready_nodes"] = [];
  for (const node of nodes) {
    const out = notReadyNodeOf(node);
    if (out === null) continue;
    const { name, since, shows } = out;
    found.push({ node_id: node.id, name, since: iso(since), shows });
    if (found.length === LINES_MAX) break;
  }
  return found;
}

export const kubernetesRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/kubernetes",
    access: "viewer",
    act: ["get", "cluster"],
    says: "state of the cluster",
    run: (c, ports) => {
      const { reconciler } = ports;
      const { cluster, alarms } = reconciler.cluster();
      const nodes = [...reconciler.fleet().nodes.values()];
      const { expected, matched } = countNodes(nodes);
      const status = cluster?.status() ?? null;
      const refusals = refusedMarks(nodes, ports.clock.wallMs());
      const view: KubernetesView = {
        attached: cluster !== null,
        server: status?.server ?? null,
        nodes: status?.nodes ?? 0,
        pods: status?.pods ?? 0,
        matched,
        expected,
        missing_nodes: missingNodes(nodes),
        not_ready_nodes: notReadyNodes(nodes),
        age_ms: status?.ageMs ?? null,
        dark: cluster?.dark() ?? null,
        writes_per_second: status?.writesPerSecond ?? 0,
        draining: status?.draining ?? 0,
        forbidden: status?.forbidden ?? [],
        alarms: [...alarms, ...(status?.doubts ?? [])],
        refused: refusals.map(({ message }) => message),
        refusals,
        uncordoned: uncordoned(nodes, ports.clock.wallMs()),
        blocked: status?.blocked ?? [],
        unshown: (status?.unshown ?? []).slice(0, LINES_MAX),
        ignored_holds: status?.ignoredHolds ?? [],
      };
      return c.json(view);
    },
  },
  {
    at: "GET /v1/kubernetes/permissions",
    access: "viewer",
    act: ["get", "cluster"],
    says: "permissions that are missing in the cluster",
    run: async (c, ports) => {
      const { reconciler } = ports;
      const { cluster } = reconciler.cluster();
      const none: PermissionsView = { attached: false, missing: [], checked: 0, account: null };
      if (cluster === null) return c.json(none);
      const { pools, slurm } = reconciler.activeConfig();
      const { statefulSet: name, namespace } = slurm.pods;
      const set = name === null ? null : { namespace, name };
      const joins = pools.some(({ bootstrap }) => joinsCluster(bootstrap.setupCommands));
      const answer = await cluster.missing(joins, set);
      if (answer.kind === "failed") throw new Refusal("unavailable", answer.message);
      const { rules, checked, account } = answer;
      const view: PermissionsView = { attached: true, missing: rules, checked, account };
      return c.json(view);
    },
  },
];
