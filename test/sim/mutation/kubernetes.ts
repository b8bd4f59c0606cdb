/**
 * Each mechanism of the Kubernetes side taken out, and the story that must then go wrong.
 */
import type { Mutation } from "./list.ts";

const ORDER = "test/scenario/kubernetes.test.ts";
const PEOPLE = "test/scenario/kubernetes-people.test.ts";
const DARK = "test/scenario/kubernetes-dark.test.ts";
const CRASH = "test/scenario/kubernetes-crash.test.ts";
const READY = "test/scenario/kubernetes-ready.test.ts";

const kube = (file: string): string => `reconciler/kubernetes/${file}`;
const DRAINER = kube("drainer.test.ts");

type Patch = Mutation["patches"][number];

const one = (name: string, patch: Patch, test: Mutation["test"]): Mutation => ({
  name,
  patches: [patch],
  test,
});

export const KUBERNETES_MUTATIONS: readonly Mutation[] = [
  one(
    "an eviction that waits for its turn outlives its drain",
    {
      file: kube("drainer.ts"),
      from: "this.isCurrent(drain) && drain.desired.paused === null && this.isWordRecent",
      to: "drain.desired.paused === null && this.isWordRecent",
    },
    { file: DRAINER, name: "an eviction that waits for its turn" },
  ),
  one(
    "pods are evicted before each draining node was listed",
    {
      file: kube("drainer.ts"),
      from: "if (listing === null) return false;\n    return true;",
      to: "if (listing === undefined) return false;\n    return true;",
    },
    { file: DRAINER, name: "no pod is evicted before each draining node" },
  ),
  one(
    "two empty lists count although one between them had a pod",
    {
      file: kube("node-drain.ts"),
      from: "isEmpty ? this.emptyRuns + 1 : 0",
      to: "isEmpty ? this.emptyRuns + 1 : this.emptyRuns",
    },
    { file: DRAINER, name: "only two empty lists in a row" },
  ),
  one(
    "the work of a degraded node is cut off at its drain's deadline",
    {
      file: "reconciler/core/decide/leave.ts",
      from: '(rule === "auto" && verdictOfNode(node) === "unhealthy")',
      to: '(rule === "auto" && verdictOfNode(node) !== "healthy")',
    },
    { file: "reconciler/core/decide/leave.test.ts", name: "auto cuts no work off" },
  ),
  one(
    "a queue that was never listed counts as empty",
    {
      file: kube("kubernetes.ts"),
      from: "if (!this.#pods.synced()) return null;\n    const { version }",
      to: "const { version }",
    },
    { file: kube("kubernetes.test.ts"), name: "the queue is unknown" },
  ),
  one(
    "a pod's token counts for whichever node shows it",
    {
      file: "reconciler/security/join/pod-token.ts",
      from: "review.pod.node === name",
      to: 'review.pod.node !== ""',
    },
    { file: "test/scenario/kubernetes-token.test.ts", name: "a pod's token ties its agent" },
  ),
  one(
    "a pod's token counts whatever audience it is for",
    {
      file: kube("token-review.ts"),
      from: "if (!read.audiences.includes(POD_AUDIENCE)) {",
      to: "if (read.audiences.length < 0) {",
    },
    { file: kube("token-review.test.ts"), name: "gives another audience" },
  ),
  one(
    "a pod's token moves a tie",
    {
      file: "reconciler/core/fold/cluster.ts",
      from: "ambiguous.push(...movedByToken(live, pairs, objects));",
      to: "ambiguous.push(...movedByToken([], pairs, objects));",
    },
    { file: "reconciler/core/fold/cluster.test.ts", name: "moves no node from a Node" },
  ),
  one(
    "a cluster that is dark counts as one that has been waited for",
    {
      file: "reconciler/core/decide/leave.ts",
      from: "const dark = darkness(node, scope) ?? darkWork(left);",
      to: "const dark = [].length === 0 ? null : darkness(node, scope);",
    },
    { file: DARK, name: "a deadline that passes in the dark" },
  ),
  one(
    "a cluster that was not seen yet counts as empty",
    {
      file: "reconciler/runtime/cluster-informer.ts",
      from: "if (!known || this.cluster.dark() !== null) return null;",
      to: "",
    },
    { file: DARK, name: "a process that starts in the dark" },
  ),
  one(
    "a server that forbids to look blinds the fleet",
    {
      file: kube("kubernetes.ts"),
      from: 'return enabled === "auto" &&',
      to: 'return enabled === "auto" && this.#ports.server === "" &&',
    },
    { file: DARK, name: "found by itself" },
  ),
  one(
    "a person's uncordon does not call the repair off",
    {
      file: "reconciler/core/fold/kube.ts",
      from: "return giveBack({ ...node, kube: { ...next, isolatedUid: null } },",
      to: "if ([].length === 0) return { node, events };\n    return giveBack({ ...node },",
    },
    { file: PEOPLE, name: "in a repair calls it off" },
  ),
  one(
    "what a person has set aside is held against the node again",
    {
      file: "reconciler/core/decide/repair.ts",
      from: 'if (verdict === "unhealthy" && !isSuppressed(node)) {',
      to: 'if (verdict === "unhealthy") {',
    },
    { file: PEOPLE, name: "in a repair calls it off" },
  ),
  one(
    "what a person has set aside is set aside for ever",
    {
      file: "reconciler/core/fold/suppression.ts",
      from: "const over = evidenceKeys(node).length === 0 &&",
      to: "const over = evidenceKeys(node).length < 0 &&",
    },
    { file: PEOPLE, name: "waives the evidence until" },
  ),
  one(
    "a person's uncordon is answered again and again",
    {
      file: "reconciler/core/fold/kube.ts",
      from: "return at !== null && at >= (session?.openedAt ?? 0);",
      to: "return at !== null && at > Number.MAX_VALUE;",
    },
    { file: PEOPLE, name: "is answered once" },
  ),
  one(
    "a mark whose answer was lost is written over a person's uncordon",
    {
      file: kube("cordon.ts"),
      from: "if (isLifted && again !== true) {",
      to: "if (isLifted && again === null) {",
    },
    { file: DARK, name: "between the lost answer and its replay" },
  ),
  one(
    "an object that was recreated is not marked",
    {
      file: "reconciler/core/decide/kube.ts",
      from: "if (wanted !== null && !marked) {",
      to: "if (wanted !== null && !marked && kube.boundAt < 0) {",
    },
    { file: PEOPLE, name: "a registration under a new UID" },
  ),
  one(
    "a mark that nobody wants any more stays",
    {
      file: "reconciler/core/decide/kube.ts",
      from: 'because: [{ code: "marked", node: kube.name }] };',
      to: "because: [] }.kind === null ? null : null;",
    },
    { file: PEOPLE, name: "are shown in the cluster" },
  ),
  one(
    "a recovery takes a person's mark away",
    {
      file: "reconciler/runtime/act/execute.ts",
      from: "if (keep === true) return",
      to: "if (keep !== true && keep !== false && why === null) return",
    },
    { file: PEOPLE, name: "and navarch cordon keeps it" },
  ),
  one(
    "the hold annotation is not looked at",
    {
      file: "reconciler/core/kubernetes/hold.ts",
      from: "if (kube?.hold === true) {",
      to: "if (kube?.hold === null) {",
    },
    { file: PEOPLE, name: "keeps every hand off" },
  ),
  one(
    "who cannot be told apart is treated like anybody",
    {
      file: "reconciler/core/kubernetes/hold.ts",
      from: 'return said === undefined ? null : { code: "ambiguous", said };',
      to: "return null;",
    },
    { file: PEOPLE, name: "nothing is done to either" },
  ),
  one(
    "evictions go on in a pause",
    {
      file: "reconciler/core/decide/desired-state.ts",
      from: "if (paused !== null) return sayWait(paused.why);",
      to: "",
    },
    { file: PEOPLE, name: "stops evictions in the middle" },
  ),
  one(
    "an eviction that waited is sent whatever has become of its reason",
    {
      file: kube("drainer.ts"),
      from: "drain.desired.paused === null && this.isWordRecent(this.now().mono);",
      to: "(drain.desired.paused === null || this.isWordRecent(this.now().mono));",
    },
    { file: CRASH, name: "evicts nobody in a pool" },
  ),
  one(
    "an eviction whose answer was lost is sent again at once",
    {
      file: kube("drain-ask.ts"),
      from: 'return this.put(ask, "checking");',
      to: 'return this.put(ask, "idle");',
    },
    { file: DARK, name: "looked at before it is asked again" },
  ),
  one(
    "whatever pod has the name is evicted",
    {
      file: kube("drain-request.ts"),
      from: "deleteOptions: { preconditions: { uid }, ...grace },",
      to: "deleteOptions: { ...(uid === null ? {} : grace) },",
    },
    { file: ORDER, name: "goes mark, evict, gone" },
  ),
  {
    name: "a node counts as empty at the first look",
    patches: [
      {
        file: kube("node-drain.ts"),
        from: "const isEmpty = isLongEnough && this.remaining",
        to: "const isEmpty = (isLongEnough || true) && this.remaining",
      },
      {
        file: kube("drainer.ts"),
        from: "if (drain.emptyRuns < 2) return busy",
        to: "if (drain.emptyRuns < 1) return busy",
      },
    ],
    test: { file: ORDER, name: "looks at the pods for itself" },
  },
  one(
    "a drain ends by what a watch shows",
    {
      file: kube("kubernetes.ts"),
      from: 'return { kind: "empty", seenAt: 0 };',
      to: 'return { kind: "empty", seenAt: this.#ports.clock.wallMs() - this.#pods.ageMs() };',
    },
    { file: ORDER, name: "looks at the pods for itself" },
  ),
  one(
    "pods of one StatefulSet leave together",
    {
      file: kube("node-drain.ts"),
      from: "const isTurn = ask.set === null || (",
      to: "const isTurn = ask.set !== undefined || (",
    },
    { file: ORDER, name: "one pod of a StatefulSet at a time" },
  ),
  one(
    "a budget that never gives way is waited for without end",
    {
      file: "reconciler/core/decide/desired-state.ts",
      from: "deleteAtDeadline: endsAtDeadline(node, pool),",
      to: "deleteAtDeadline: endsAtDeadline(node, pool) && node.pool === null,",
    },
    { file: DARK, name: "is waited for until the deadline" },
  ),
  one(
    "a Node goes while its kubelet speaks",
    {
      file: kube("cleanup.ts"),
      from: "const silent = await this.#isSilent(one);",
      to: "const silent = [true as const, await this.#isSilent(one)][0] ?? true;",
    },
    { file: DARK, name: "the Node and its pods stay" },
  ),
  one(
    "a Node is deleted whatever its UID",
    {
      file: kube("cleanup-call.ts"),
      from: "body: deleteOptions(uid),",
      to: "body: {},",
    },
    { file: ORDER, name: "goes mark, evict, gone" },
  ),
  one(
    "an agent that gives the name of its Node is a machine of its own",
    {
      file: "reconciler/runtime/ingest.ts",
      from: "const candidates = new Set<NodeId>(this.",
      to: "const candidates = new Set<NodeId>([] ?? this.",
    },
    { file: DARK, name: "speaks as its Node" },
  ),
  one(
    "a machine serves before its cluster would place work on it",
    {
      file: "reconciler/core/decide/arrive.ts",
      from: 'if (unready === null) return plan.advance(serving, "node.verified", because);',
      to: 'if (unready !== undefined) return plan.advance(serving, "node.verified", because);',
    },
    { file: READY, name: "surge: nothing is drained before" },
  ),
  one(
    "GPUs that nobody offers count",
    {
      file: "reconciler/core/decide/kube.ts",
      from: "(kube.gpus ?? 0) >= counted) return null;",
      to: "(kube.gpus ?? counted) >= 0) return null;",
    },
    { file: READY, name: "offers fewer GPUs" },
  ),
  one(
    "a moment of silence ends a machine that waits for its cluster",
    {
      file: "reconciler/core/decide/arrive.ts",
      from: "const since = checked ? (health.lastCheckAt ?? phase.since) : phase.since;",
      to: "const since = checked ? phase.since : phase.since;",
    },
    { file: READY, name: "is silent for a moment is not ended" },
  ),
];
