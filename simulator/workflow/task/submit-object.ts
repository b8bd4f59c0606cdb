/** Task `SubmitObj`: creates objects from a registered template, whole manifests as rendered. */
import * as v from "valibot";
import { whole } from "../../../schema/number.ts";
import { isMap, type Manifest } from "../manifest.ts";
import {
  collectionPath,
  formatPlace,
  formatResource,
  objectPath,
  patience,
  type Place,
  readPlace,
} from "../object-call.ts";
import { readParams } from "../param.ts";
import type { Submitted } from "../state.ts";
import { drawName, renderSubmission, type Wanted } from "../submission.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import type { Params as TemplateParams } from "../template-file.ts";
import { createObject, forEach, uidOf } from "../write.ts";

const COUNT_MAX = 100_000;
const COUNT = "expected a whole number";

const Params = v.strictObject({
  refTaskId: v.nullish(v.string("expected a task id"), ""),
  count: v.nullish(whole(COUNT), 1),
  canExist: v.nullish(v.boolean("expected true or false"), false),
  params: v.nullish(v.custom<TemplateParams>(isMap, "expected a map"), {}),
});

/** Blocks of one object go in order; objects begin in order. */
const PARALLEL = 8;
/** Draws of a suffix that is free. */
const DRAWS_MAX = 8;

export const submitObject: TaskType = {
  name: "SubmitObj",
  isPrefixed: true,
  runsDry: true,
  read({ id, params: given }) {
    const { refTaskId, count, canExist, params } = readParams(Params, given);
    if (refTaskId === "") throw new TaskError("must specify refTaskId");
    if (count <= 0) throw new TaskError("'count' must be a positive number");
    if (count > COUNT_MAX) throw new TaskError(`'count' must be at most ${COUNT_MAX}`);
    return async (run) => {
      const registered = run.state.registered(refTaskId);
      run.state.checkSubmit(id);
      if (count > 1 && registered.nameFormat === null) {
        const what = "multi-instance objects must specify 'nameFormat' during object registration";
        throw new TaskError(what);
      }
      const rendered = await renderSubmission(run, registered, { count, params });
      const created: Submitted[][] = rendered.objects.map(() => []);
      await forEach(rendered.objects.entries(), PARALLEL, async ([at, blocks]) => {
        for (const wanted of blocks) created[at]?.push(await create(run, wanted, canExist));
      });
      const objects = created.flat();
      const namespaces = objects.flatMap(({ namespace }) => namespace ?? []);
      run.state.submit(id, {
        objects,
        blocks: registered.blocks.length,
        podNames: rendered.podNames,
        podCount: rendered.podCount,
        podNamespaces: [...new Set(namespaces)],
      });
    };
  },
};

async function create(run: Run, wanted: Wanted, canExist: boolean): Promise<Submitted> {
  const { block, resource, namespace, generateName } = wanted;
  let { name, manifest } = wanted;
  for (let draw = 1; ; draw += 1) {
    const place = { resource, namespace, name };
    if (run.isDryRun) return { ...place, block, uid: null };
    const uid = await createOnce(run, place, manifest, canExist);
    if (uid !== null) return { ...place, block, uid };
    if (generateName === null || draw === DRAWS_MAX) {
      const { group, resource: plural } = resource;
      const full = group === "" ? plural : `${plural}.${group}`;
      throw failed(place, `${full} "${name}" already exists`);
    }
    name = drawName(generateName, run.random);
    const metadata = isMap(manifest["metadata"]) ? manifest["metadata"] : {};
    manifest = { ...manifest, metadata: { ...metadata, name } };
  }
}

const failed = ({ resource, name }: Place, why: string): TaskError =>
  new TaskError(`failed to create resource ${formatResource(resource)} ${name}: ${why}`);

/** The UID; `null`: the name is taken. */
async function createOnce(
  run: Run,
  place: Place,
  body: Manifest,
  canExist: boolean,
): Promise<string | null> {
  const { resource, namespace, name } = place;
  const what = formatPlace(place);
  try {
    // What this run made before is no reply that was lost.
    const isLooked = canExist || run.made.has(objectPath(place));
    const held = isLooked ? await readPlace(run, place) : null;
    if (held !== null) {
      if (canExist) run.say("detail", `${what} exists`);
      return canExist ? uidOf(held) : null;
    }
    const collection = collectionPath(resource, namespace);
    const object = { collection, name, what, body, isNode: resource.kind === "Node" };
    const answer = await createObject(run, object, patience(run));
    if (answer.kind === "refused") throw new TaskError(answer.message);
    const isMade = answer.kind === "created";
    run.say("detail", `${what} ${isMade ? "created" : "exists"}`);
    for (const one of isMade ? answer.warnings : []) run.say("detail", `${what}: ${one}`);
    return isMade || canExist ? uidOf(answer.object) : null;
  } catch (cause) {
    if (!(cause instanceof TaskError) || run.signal.aborted) throw cause;
    throw failed(place, cause.message);
  }
}
