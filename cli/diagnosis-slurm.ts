/** The findings of `doctor` and `doctor slurm` from the control plane's view of Slurm. Pure. */
import type { SlurmClusterView, SlurmRightsView } from "../schema/slurm-view.ts";
import { formatSpan } from "./age.ts";
import { bad, type Diagnosis, ok } from "./diagnosis-row.ts";

const DARK =
  "nothing is drained, released or ended until it answers; `navarch doctor slurm` on the machine " +
  "of the control plane checks commands, munge and slurm.conf";
const RIGHTS = "sacctmgr modify user NAME set adminlevel=Operator, or run as SlurmUser or root";
const CLAIMS = "make slurm.node_aliases and slurm.nodes agree (docs/slurm.md)";
const UNKNOWN =
  "add them to slurm.conf, or correct the key; of CLOUD nodes Slurm shows those that are powered " +
  "down only with PrivateData=cloud";
const PODS =
  "their number stays as it is until this is solved; deploy/overlay/slurm-pods grants the right";
const HELD = "ask those who drained it, or undrain it: lower pods cannot go before it";
const UNCLAIMED =
  "their jobs and drains are not seen: name them in slurm.nodes or slurm.node_aliases";

/** One row for `doctor`. */
export function judgeSlurm(view: SlurmClusterView): Diagnosis[] {
  if (!view.attached) return [];
  const where = view.server ?? "Slurm";
  if (view.dark !== null) return [bad("warn", "slurm", `${where}: ${view.dark}`, DARK)];
  const rows = judgeNames(view);
  const worst = rows.filter(({ outcome }) => outcome !== "ok");
  const said = `${where}: ${view.nodes} nodes, ${view.matched} of them here`;
  if (worst.length === 0) return [ok("slurm", said)];
  const message = `${said}; ${worst.map(({ message }) => message).join("; ")}`;
  return [bad("warn", "slurm", message, "navarch doctor slurm")];
}

/** All rows for `doctor slurm`. */
export function judgeSlurmCluster(
  view: SlurmClusterView,
  rights: SlurmRightsView | null,
): Diagnosis[] {
  if (!view.attached) {
    return [bad("warn", "slurm", "no Slurm is attached", "set slurm.enabled, and restart")];
  }
  const where = view.server ?? "Slurm";
  const age = view.age_ms === null ? "never listed" : `listed ${formatSpan(view.age_ms)} ago`;
  const first =
    view.dark === null
      ? ok("controller", `${where}: ${view.nodes} nodes, ${age}`)
      : bad("fail", "controller", `${where}: ${view.dark} (${age})`, DARK);
  // A controller that does not answer says nothing about rights either.
  const asked = rights === null || view.dark !== null ? [] : [judgeRights(rights)];
  return [first, ...asked, ...judgeNames(view)];
}

function judgeRights({ allowed, message }: SlurmRightsView): Diagnosis {
  if (allowed === true) return ok("rights", "may drain and release nodes");
  const outcome = allowed === false ? "fail" : "warn";
  const what = allowed === false ? "may not change nodes" : "not known whether it may change nodes";
  return bad(outcome, "rights", `${what}: ${message}`, allowed === false ? RIGHTS : null);
}

/** Absent in answers of older releases. */
function judgePods({ pods }: Partial<Pick<SlurmClusterView, "pods">>): Diagnosis[] {
  if (pods === null || pods === undefined) return [];
  const { stateful_set: name, replicas, needed, busy, pending, min, max, state, why } = pods;
  const has = `${name} has ${replicas ?? "?"} pods, ${needed ?? "?"} needed`;
  const said = `${has} (${busy ?? "?"} with work, ${pending ?? "?"} for jobs, ${min} to ${max})`;
  const also = why === "" ? "" : `: ${why}`;
  if (state === "failed") return [bad("fail", "pods", `${said}${also}`, PODS)];
  if (state === "held") return [bad("warn", "pods", `${said}${also}`, HELD)];
  return [ok("pods", `${said}${also}`)];
}

function judgeNames(view: SlurmClusterView): Diagnosis[] {
  const { matched, unclaimed } = view;
  return [
    ...judgePods(view),
    ...(view.dark === null ? [ok("names", `${matched} nodes have a NodeName`)] : []),
    ...view.ambiguous.map(({ why }) => bad("fail", "ambiguous", why, CLAIMS)),
    ...others(view).map((alarm) => bad("warn", "alarm", alarm, null)),
    ...view.unknown_names.map(({ key, names }) =>
      bad("warn", "unknown names", `Slurm does not list ${names} (${key})`, UNKNOWN),
    ),
    ...view.unknown_partitions.map(({ key, partition }) =>
      bad("warn", "unknown partition", `Slurm shows no node in ${partition} (${key})`, UNKNOWN),
    ),
    ...(unclaimed === ""
      ? []
      : [bad("warn", "unclaimed", `no node or pool here has ${unclaimed}`, UNCLAIMED)]),
    ...view.refusals.map(({ node_id: id, name, message }) =>
      bad("fail", "refused", `Slurm refuses to change ${name} (${id}): ${message}`, RIGHTS),
    ),
  ];
}

/** Alarms about names in doubt are rows of their own. */
function others({ alarms, ambiguous }: SlurmClusterView): string[] {
  return alarms.filter((alarm) => !ambiguous.some(({ why }) => why === alarm));
}
