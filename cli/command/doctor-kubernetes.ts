/**
 * `navarch doctor kubernetes`: checks the control plane's access to its cluster, and lists missing
 * permissions as the rules that grant them; or the client path of this machine (`kube-path.ts`).
 */
import type { KubernetesView, PermissionsView, RefusalCause } from "../../schema/api.ts";
import type { Client } from "../client.ts";
import type { Command } from "../command.ts";
import type { Diagnosis } from "../diagnosis-row.ts";
import { EXIT, type Failure } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { checkPath } from "../kube-path.ts";
import { show } from "../show.ts";
import { stateGiven } from "../state-folder.ts";
import { formatDiagnoses } from "./doctor.ts";

const GRANT = "kubectl apply -f deploy/ has every rule; or add this one to its role";
const BIND =
  "is its ClusterRoleBinding there, with this account as its subject? " +
  "kubectl apply -f deploy/11-role.yaml (or helm upgrade)";

/** Advice by cause; until the write succeeds, the scheduler may place work on the Node. */
const PASS: Record<RefusalCause, string> = {
  permission: "work may still be placed there: grant the control plane's account this permission",
  admission:
    "work may still be placed there: let the control plane's account pass the webhook or policy",
  other: "work may still be placed there until the API server accepts the write",
};
const UNTOUCHED =
  "nothing is done to these nodes; behind a proxy or NAT, enrol them with a token that has --node";
const UNSHOWN = "what this Node shows of its GPUs may be outdated until the write succeeds";
const BLOCKED = "`navarch explain NODE` says what happens at the drain's deadline";

export const doctorKubernetes: Command = {
  name: ["doctor", "kubernetes"],
  alias: ["doctor kube"],
  usage: "",
  summary: "check access to a Kubernetes cluster",
  examples: ["navarch doctor kubernetes", "navarch doctor kube --kubeconfig FILE"],
  more:
    "With --kubeconfig or --context it asks no control plane: this program connects to the API\n" +
    "server, prints PASS or FAIL for each part of the client path, and removes what it made.\n" +
    "So it does without a control plane at the default address if KUBECONFIG is set.\n" +
    "Exit 1 if anything failed; warnings do not count.",
  flags: [
    textFlag("kubeconfig", "FILE", "kubeconfig (default: as kubectl finds it)"),
    textFlag("context", "NAME", "kubeconfig context to use"),
    textFlag("namespace", "NAME", "namespace of the throw-away objects (default default)"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    if (flags.from("kubeconfig") !== null || flags.from("context") !== null) {
      return checkPath(context);
    }
    const client = context.connect();
    const found = "ok" in client ? client : await examine(client);
    if ("exit" in found) {
      const isNamed = flags.from("server") !== null || stateGiven(flags) !== null;
      const isAway = found.exit === EXIT.unreachable && !isNamed;
      if (!isAway || !world.env["KUBECONFIG"]) return found;
      world.err("note: no control plane answers here; checking this machine's own access\n");
      return checkPath(context);
    }
    await show(context, {
      data: found,
      names: found.map((one) => `${one.check}: ${one.outcome}`),
      human: (_wide, style) => formatDiagnoses(found, style),
    });
    return found.some((one) => one.outcome === "fail") ? EXIT.failed : EXIT.done;
  },
};

async function examine(client: Client): Promise<Diagnosis[] | Failure> {
  const answer = await client.get<KubernetesView>("/kubernetes", ["attached"]);
  if (!answer.ok) return answer;
  const view = answer.value;
  if (!view.attached) {
    const advice = "run it in a cluster, or set kubernetes.kubeconfig";
    return [say("warn", "cluster", "no Kubernetes cluster is attached", advice)];
  }
  const where = view.server ?? "the API server";
  const found = [
    view.dark === null
      ? say("ok", "cluster", `${where}: ${view.nodes} nodes, ${view.pods} pods`, null)
      : say("fail", "cluster", `${where}: ${view.dark}`, "see the log of the control plane"),
    ...examineNodes(view),
    ...view.alarms.map((alarm) => say("fail", "identity", alarm, UNTOUCHED)),
    // Older control planes do not send these.
    ...refusalsOf(view).map(({ message, cause }) =>
      say("fail", "cordon refused", message, PASS[cause]),
    ),
    ...(view.uncordoned ?? []).map((line) => say("warn", "uncordoned", line, null)),
    ...(view.unshown ?? []).map((line) => say("warn", "not shown", line, UNSHOWN)),
    ...(view.blocked ?? []).map((line) => say("warn", "drain blocked", line, BLOCKED)),
    ...(view.ignored_holds ?? []).map((line) => say("warn", "hold ignored", line, null)),
  ];
  const rights = await client.get<PermissionsView>("/kubernetes/permissions", ["missing"]);
  const known = rights.ok ? rights.value : null;
  if (!rights.ok) found.push(say("fail", "permissions", rights.message, null));
  return [...found, ...examineRights(view.forbidden, known)];
}

function refusalsOf({ refused, refusals }: KubernetesView): KubernetesView["refusals"] {
  return refusals ?? (refused ?? []).map((message) => ({ message, cause: "admission" }));
}

/** One row if every permission is missing: then the role binding is missing. */
function examineRights(forbidden: string[], rights: PermissionsView | null): Diagnosis[] {
  const missing = rights?.missing ?? [];
  if (missing.length > 0 && missing.length === rights?.checked) {
    const who = rights.account ?? "the control plane's account";
    return [say("fail", "permissions", `${who} has no permission at all`, BIND)];
  }
  // A refused request and a missing rule may be the same permission: list it once.
  const others = forbidden.filter((line) => !missing.some((rule) => line.includes(rule)));
  const rows = [
    ...others.map((line) => say("fail", "forbidden", line, GRANT)),
    ...missing.map((rule) => say("fail", "permission", rule, GRANT)),
  ];
  if (rights === null || rows.length > 0) return rows;
  return [say("ok", "permissions", "all that are needed are granted", null)];
}

/** Machines without their Node object are billed but take no pods. */
function examineNodes(view: KubernetesView): Diagnosis[] {
  // Older control planes do not send `expected`.
  const expected = view.expected ?? view.matched;
  const counted = `${view.matched} of ${expected} nodes have a Node object`;
  const lame = examineReady(view.not_ready_nodes ?? []);
  if (view.matched >= expected) return [say("ok", "matched", counted, null), ...lame];
  const missing = (view.missing_nodes ?? []).map(({ node_id, name, since }) =>
    say("warn", "missing", `${node_id}: Node ${name} since ${since}`, restore(node_id)),
  );
  return [say("warn", "matched", counted, null), ...missing, ...lame];
}

function examineReady(nodes: KubernetesView["not_ready_nodes"]): Diagnosis[] {
  return nodes.map(({ node_id, name, since, shows }) => {
    const message = `${node_id}: Node ${name} is NotReady (${shows}) since ${since}`;
    const advice = `look at its kubelet and network, or run \`navarch replace ${node_id}\``;
    return say("warn", "not_ready", `${message}, while its agent reports`, advice);
  });
}

const restore = (node: string): string =>
  `restart its kubelet, which registers the Node again, or run \`navarch replace ${node}\``;

function say(
  outcome: Diagnosis["outcome"],
  check: string,
  message: string,
  advice: string | null,
): Diagnosis {
  return { check, outcome, message, advice };
}
