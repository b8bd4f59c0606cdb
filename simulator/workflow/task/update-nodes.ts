/**
 * Task `UpdateNodes`: patches every Node that one of the selectors matches, virtual or not. Status
 * goes to its own subresource; conditions and addresses are merged by type, so others stay.
 */
import * as v from "valibot";
import { PATCH } from "../../../reconciler/kubernetes/api.ts";
import { readObject } from "../../../reconciler/kubernetes/read-field.ts";
import { formatSelector } from "../selector.ts";
import { readParams, textMap, withTextLabels } from "../param.ts";
import { type Run, TaskError, type TaskType } from "../task.ts";
import { forEach, listObjects, settle } from "../write.ts";

const map = v.record(v.string(), v.unknown(), "expected a map");
const Params = v.strictObject({
  selectors: v.nullish(v.array(textMap, "expected a list of label maps"), []),
  state: v.nullish(
    v.strictObject({
      metadata: v.optional(map),
      spec: v.optional(map),
      status: v.optional(map),
    }),
    {},
  ),
});

const NODES = "/api/v1/nodes";
const AT_ONCE = 32;
/** Thousands of patches take seconds; the rest is for a server that is away for a while. */
const UPDATE_MS = 300_000;

type Target = { name: string; uid: string };
type State = v.InferOutput<typeof Params>["state"];

export const updateNodes: TaskType = {
  name: "UpdateNodes",
  isPrefixed: false,
  read({ id, params }) {
    const { selectors: given, state } = readParams(Params, params);
    if (given.length === 0) {
      throw new TaskError(`missing node selectors in UpdateNodes task ${id}`);
    }
    if (Object.keys(state).length === 0) {
      throw new TaskError(`missing state parameters in UpdateNodes task ${id}`);
    }
    const selectors = given.map(readSelector);
    const patches = patchesOf(state);
    return async (run) => {
      if (run.isDryRun) return;
      const deadlineMs = run.clock.monoMs() + UPDATE_MS;
      const targets = await select(run, selectors, deadlineMs);
      if (targets.length === 0) {
        run.say("warning", `UpdateNodes/${id}: no node matches ${selectors.join(" or ")}`);
      }
      await forEach(targets, AT_ONCE, (target) => update(run, target, patches, deadlineMs));
    };
  },
};

/** An empty map would match every Node of the cluster, real ones too. */
function readSelector(labels: Readonly<Record<string, string>>, index: number): string {
  if (Object.keys(labels).length > 0) return formatSelector(labels);
  throw new TaskError(`failed to parse parameters: selectors[${index}]: expected a label or more`);
}

type NodePatch = {
  path: "" | "/status";
  contentType: typeof PATCH.merge | typeof PATCH.strategic;
  body: object;
};

function patchesOf({ metadata, spec, status }: State): NodePatch[] {
  const own = {
    ...(metadata === undefined ? {} : withTextLabels({ metadata })),
    ...(spec === undefined ? {} : { spec }),
  };
  const node = { path: "", contentType: PATCH.merge, body: own } as const;
  const rest = { path: "/status", contentType: PATCH.strategic, body: { status } } as const;
  return [
    ...(Object.keys(own).length === 0 ? [] : [node]),
    ...(status === undefined ? [] : [rest]),
  ];
}

/** Every Node that one selector matches or several, once. */
async function select(
  run: Run,
  selectors: readonly string[],
  deadlineMs: number,
): Promise<Target[]> {
  const found = new Map<string, Target>();
  for (const labelSelector of selectors) {
    const ask = { path: NODES, query: { labelSelector }, what: "nodes", read: readTarget };
    for (const target of await listObjects(run, ask, deadlineMs)) found.set(target.name, target);
  }
  return [...found.values()];
}

function readTarget(item: unknown): Target | null {
  const { name, uid } = readObject(readObject(item)["metadata"]);
  return typeof name === "string" && typeof uid === "string" ? { name, uid } : null;
}

async function update(
  run: Run,
  { name, uid }: Target,
  patches: readonly NodePatch[],
  deadlineMs: number,
): Promise<void> {
  for (const { path: part, contentType, body } of patches) {
    const path = `${NODES}/${encodeURIComponent(name)}${part}`;
    // Never another Node that has the name by now.
    const metadata = { ...readObject(readObject(body)["metadata"]), uid };
    const fenced = { ...body, metadata };
    // A key that the server does not know would be dropped in silence.
    const query = { fieldValidation: "Strict" };
    const patch = { verb: "patch", path, query, contentType, body: fenced } as const;
    const request = { ...patch, lane: "status" } as const;
    const answer = await settle(run, `updating node ${name}`, request, deadlineMs);
    if (answer.kind === "refused") {
      throw new TaskError(`failed to update node ${name}: ${answer.message}`);
    }
  }
  run.say("detail", `updated node ${name}`);
}
