/** Task `SubmitObj`: creates objects from a registered template, whole manifests as rendered. */
import * as v from "valibot";
import { whole } from "../../../schema/number.ts";
import { isMap } from "../manifest.ts";
import {
  createObject,
  formatPlace,
  formatResource,
  inParallel,
  readObjectAt,
  uidOf,
} from "../object-call.ts";
import { readParams } from "../param.ts";
import type { Submitted } from "../state.ts";
import { drawName, renderSubmission, type Wanted } from "../submission.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import type { Params as TemplateParams } from "../template-file.ts";

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
      const rendered = renderSubmission(run, registered, { count, params });
      const created = await inParallel(rendered.objects, PARALLEL, async (blocks) => {
        const made: Submitted[] = [];
        for (const wanted of blocks) made.push(await create(run, wanted, canExist));
        return made;
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
  const submitted = (uid: string | null): Submitted => {
    return { resource, namespace, name, block, uid };
  };
  if (run.isDryRun) return submitted(null);
  for (let draw = 1; ; draw += 1) {
    const place = { resource, namespace, name };
    try {
      const held = canExist ? await readObjectAt(run, place) : null;
      if (held !== null) {
        run.say("detail", `${formatPlace(place)} exists`);
        return submitted(uidOf(held));
      }
      const answer = await createObject(run, place, manifest);
      if (answer.kind === "made" || canExist) {
        const verb = answer.kind === "made" ? "created" : "exists";
        run.say("detail", `${formatPlace(place)} ${verb}`);
        return submitted(answer.uid);
      }
      if (generateName === null || draw === DRAWS_MAX) {
        const { group, resource: plural } = resource;
        const full = group === "" ? plural : `${plural}.${group}`;
        throw new TaskError(`${full} "${name}" already exists`);
      }
    } catch (cause) {
      if (!(cause instanceof TaskError) || run.signal.aborted) throw cause;
      const what = `${formatResource(resource)} ${name}`;
      throw new TaskError(`failed to create resource ${what}: ${cause.message}`);
    }
    name = drawName(generateName, run.random);
    const metadata = isMap(manifest["metadata"]) ? manifest["metadata"] : {};
    manifest = { ...manifest, metadata: { ...metadata, name } };
  }
}
