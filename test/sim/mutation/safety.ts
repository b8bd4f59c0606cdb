/**
 * Mutations that each remove one safety mechanism, with the test that must then fail. A mechanism
 * that can be removed without a failing test does not count as tested.
 */
import type { Mutation } from "./list.ts";

const SAFETY = "test/scenario/safety.test.ts";
const STORM = "test/scenario/storm.test.ts";
const VETO = "test/scenario/veto.test.ts";
const REPLACE = "test/scenario/replace.test.ts";
const LADDER = "test/scenario/ladder.test.ts";
const OWNED = "test/scenario/owned.test.ts";
const TIME = "test/scenario/trouble-time.test.ts";

const one = (
  name: string,
  patch: { file: string; from: string; to: string },
  test: Mutation["test"],
): Mutation => ({ name, patches: [patch], test });

const MACHINE = "bootstrap/run/script.ts";
const ON_MACHINE = "bootstrap/run/script.test.ts";

const safety = (file: string): string => `reconciler/core/safety/${file}`;
const decide = (file: string): string => `reconciler/core/decide/${file}`;

export const SAFETY_MUTATIONS: readonly Mutation[] = [
  one(
    "a machine starts a command under an outdated fence",
    {
      file: MACHINE,
      from: 'fenced "$1" "$2" || { rm -f "$3"; stale "$2"; }',
      to: "true",
    },
    { file: ON_MACHINE, name: "starts no command of the older one" },
  ),
  one(
    "a command that a newer run overtook is marked as done",
    {
      file: MACHINE,
      from: '[ "$code" -eq 0 ] || exit "$code"\nfenced "$1" "$2" || stale "$2"',
      to: '[ "$code" -eq 0 ] || exit "$code"',
    },
    { file: ON_MACHINE, name: "does not mark a command as done" },
  ),
  one(
    "a machine takes a program of an overtaken run",
    { file: MACHINE, from: 'fenced "$i" "$fence" || stale "$fence"\nchmod 755', to: "chmod 755" },
    { file: ON_MACHINE, name: "takes no file of the older one" },
  ),
  one(
    "a machine takes half a file",
    {
      file: MACHINE,
      from: '[ "$(wc -c <"$t")" -eq "$5" ] || { echo "it did not arrive whole" >&2; exit 1; }\n',
      to: "",
    },
    { file: ON_MACHINE, name: "what arrived in part" },
  ),
  one(
    "pods of AgentPools are created after the lead was lost",
    {
      file: "reconciler/agentpool/effect.ts",
      from: "if (!this.ports.leads()) return;",
      to: "",
    },
    { file: "reconciler/agentpool/actor.test.ts", name: "pods that wait for room" },
  ),
  one(
    "no budget for replacement",
    { file: safety("budget.ts"), from: "if (flying.size >= max) {", to: "if (flying.size < 0) {" },
    { file: SAFETY, name: "budgets hold in every scope" },
  ),
  one(
    "no budget for isolation",
    {
      file: safety("budget.ts"),
      from: "if (used < max) return null;",
      to: "if (used >= 0) return null;",
    },
    { file: SAFETY, name: "isolation has a budget" },
  ),
  one(
    "no max_unavailable",
    { file: decide("budget.ts"), from: "if (out.size >= max) return false;", to: "" },
    { file: SAFETY, name: "max_unavailable caps" },
  ),
  one(
    "the breaker never trips",
    {
      file: safety("breaker.ts"),
      from: "if (before === null) return tripped ? trip(scope, around) : null;",
      to: "if (before === null) return null;",
    },
    { file: SAFETY, name: "a burst is slowed" },
  ),
  one(
    "the breaker never closes",
    {
      file: safety("breaker.ts"),
      from: "if (!waiting && !scope.nodes.some(holdsPlace)) return null;",
      to: "",
    },
    { file: SAFETY, name: "a burst is slowed" },
  ),
  one(
    "no common cause is looked for",
    {
      file: safety("breaker.ts"),
      from: "  return attribute(sick, living,",
      to: "  return [].length === 0 ? null : attribute(sick, living,",
    },
    { file: SAFETY, name: "a cause that one zone shares" },
  ),
  one(
    "a bad rule is not put aside",
    {
      file: safety("step.ts"),
      from: 'return new Set(factsOf(facts, "quarantine").map((fact) => fact.rule));',
      to: 'return new Set(factsOf(facts, "quarantine").map(() => ""));',
    },
    { file: STORM, name: "condemns every one" },
  ),
  one(
    "evident faults have no trickle of their own",
    {
      file: safety("budget.ts"),
      from: "return evident && hasEvidentRoom(node, count.out) ? null : stopped(breaker);",
      to: "return stopped(breaker);",
    },
    { file: SAFETY, name: "what is evident by itself" },
  ),
  one(
    "nothing ever blinds",
    {
      file: safety("blind.ts"),
      from: "    const [why] = reasons;",
      to: "    const [why]: string[] = [];\n    if (reasons.length >= 0) return [];",
    },
    { file: SAFETY, name: "a list that collapses blinds" },
  ),
  one(
    "sight counts again at once",
    {
      file: safety("blind.ts"),
      from: "if (mono - this.darkSince.lastMono >= 2 * roundMs) {",
      to: "if (mono >= 0) {",
    },
    { file: "reconciler/core/safety/blind.test.ts", name: "two rounds longer" },
  ),
  one(
    "a call intended before the darkness is made in it",
    {
      file: decide("may-call.ts"),
      from: "  const { kind } = operation.payload;",
      to: "  if (operation.fence >= 0) return true;\n  const { kind } = operation.payload;",
    },
    { file: SAFETY, name: "intended before the darkness" },
  ),
  one(
    "a pause of this process is not noticed",
    {
      file: "reconciler/runtime/presence.ts",
      from: "if (gapMs > PULSE_MS + STALL_MS) {",
      to: "if (gapMs < 0) {",
    },
    { file: SAFETY, name: "after a pause of its own" },
  ),
  one(
    "new nodes that never come up are bought on and on",
    {
      file: safety("guard.ts"),
      from: "  if (guard === null) return false;",
      to: "  return false;",
    },
    { file: SAFETY, name: "never come up is left alone" },
  ),
  one(
    "failed hardware is welcome back",
    {
      file: safety("quarantined-hardware.ts"),
      from: "    return fact;\n  }\n  return null;",
      to: "  }\n  return null;",
    },
    { file: SAFETY, name: "refused when the cloud hands it back" },
  ),
  one(
    "no ceiling of instances",
    {
      file: safety("spend.ts"),
      from: "if (instancesMax !== null && bill.instances - freed.instances + 1 > instancesMax) {",
      to: "if (instancesMax !== null && bill.instances < 0) {",
    },
    { file: SAFETY, name: "a ceiling of instances" },
  ),
  one(
    "an unknown price counts as nothing",
    {
      file: safety("spend.ts"),
      from: "if (price === null) return {",
      to: "if (price === -1) return {",
    },
    { file: SAFETY, name: "whose price is not known" },
  ),
  one(
    "a freeze stops nothing",
    {
      file: safety("step.ts"),
      from: "  return `${freeze.why} (${freeze.by})`;",
      to: "  return null;",
    },
    { file: VETO, name: "" },
  ),
  one(
    "a hold stops nothing",
    {
      file: decide("admit.ts"),
      from: "if (hold === null || hold.until <= sight.now) return null;",
      to: "if (hold !== undefined) return null;",
    },
    { file: VETO, name: "" },
  ),
  one(
    "a node that a person cordoned is repaired away",
    {
      file: decide("repair.ts"),
      from: "  if (node.cordon.human !== null) {\n    const { by, why } = node.cordon.human;\n    const isUnsold",
      to: "  if (node.cordon.human !== null && node.fence < 0) {\n    const { by, why } = node.cordon.human;\n    const isUnsold",
    },
    { file: REPLACE, name: "cordoned by a person" },
  ),
  one(
    "the threshold does not gate the drain",
    {
      file: decide("repair.ts"),
      from: "&& node.health.unhealthyRun >= threshold;",
      to: "&& threshold > 0;",
    },
    { file: REPLACE, name: "the threshold gates the drain" },
  ),
  one(
    "silence alone condemns",
    {
      file: decide("node.ts"),
      from: "  if (fact.absentSince === null ||",
      to: '  if (node.health.silentSince) return "silent";\n  if (fact.absentSince === null ||',
    },
    { file: TIME, name: "" },
  ),
  one(
    "a machine is rebooted for ever",
    {
      file: decide("ladder.ts"),
      from: "const REBOOTS_MAX = 2;",
      to: "const REBOOTS_MAX = 99;",
    },
    { file: LADDER, name: "still there after its reboots" },
  ),
  one(
    "orphans are ended all at once",
    { file: decide("sweep.ts"), from: "if (used >= max) return false;", to: "" },
    { file: SAFETY, name: "one in a sweep" },
  ),
  one(
    "an empty slot is not out of service",
    {
      file: safety("in-flight.ts"),
      from: "    out.push(...left.slice(0, missing));",
      to: "    out.push(...left.slice(0, 0 * missing));",
    },
    { file: "reconciler/core/safety/in-flight.test.ts", name: "" },
  ),
  one(
    "a slot that was given up is out of service for a day",
    {
      file: safety("in-flight.ts"),
      from: "    out.push(...left.slice(0, missing));",
      to: "    out.push(...left.slice(0, 9 + missing));",
    },
    { file: "reconciler/core/safety/in-flight.test.ts", name: "" },
  ),
  one(
    "what nobody claims is taken at first sight",
    {
      file: "reconciler/core/fold/adopt.ts",
      from: "const LISTINGS_MIN = 2;",
      to: "const LISTINGS_MIN = 0;",
    },
    { file: SAFETY, name: "listed once" },
  ),
  one(
    "a call intended before a freeze is made in it",
    {
      file: decide("may-call.ts"),
      from: "  const paused = sight.frozen !== null ||",
      to: "  const paused = sight.now < 0 ||",
    },
    { file: SAFETY, name: "intended before a freeze" },
  ),
  one(
    "an ask that a person has overtaken is made",
    {
      file: "reconciler/core/fold/settle.ts",
      from: "    if (node.operation === id && node.fence === operation.fence && !isMoot) {",
      to: "    if (node.operation === id && !isMoot) {",
    },
    { file: LADDER, name: "after a person took the node back" },
  ),
  one(
    "no rest for a slot whose machines fail at once",
    {
      file: safety("relapse.ts"),
      from: "if (lives < LIVES_MAX || at === null) return null;",
      to: "if (lives >= 0) return null;",
    },
    { file: "test/scenario/relapse.test.ts", name: "again and again" },
  ),
  one(
    "an owned machine is replaced",
    {
      file: decide("repair.ts"),
      from: 'const inPlace = rung === "reboot" || isOwned(node);',
      to: 'const inPlace = rung === "reboot";',
    },
    { file: OWNED, name: "XID 79 leads to one reboot" },
  ),
  one(
    "the configured minimum releases owned machines",
    {
      file: "reconciler/core/scaling/candidate.ts",
      from: "!(isUnbought(node) || isOwned(node))",
      to: "!isUnbought(node)",
    },
    { file: OWNED, name: "only a person's smaller size" },
  ),
  one(
    "an owned machine that is off is given up",
    { file: decide("arrive.ts"), from: "if (isOver && !isOwned(node)) {", to: "if (isOver) {" },
    { file: OWNED, name: "a pool reaches its size" },
  ),
  one(
    "a machine that has rebooted is ordered to reboot again",
    {
      file: "reconciler/core/fold/reboot-order.ts",
      from: "if (before !== bootId) return null;",
      to: "",
    },
    { file: OWNED, name: "no order reaches the next boot" },
  ),
  one(
    "a freeze does not hold an agent's order back",
    {
      file: "reconciler/core/fold/reboot-order.ts",
      from: "if (frozenBy(facts, now) !== null || (hold",
      to: "if ((hold",
    },
    { file: OWNED, name: "a freeze holds the order back" },
  ),
];
