/** The parameters of `UpdateObj` and `CheckObj`, and the objects that they are about. */
import * as v from "valibot";
import { whole } from "../../schema/number.ts";
import { duration, readParams, withTextLabels } from "./param.ts";
import { isMap, type Manifest } from "./manifest.ts";
import type { Submitted } from "./state.ts";
import { LIST_MATCHES } from "./subset.ts";
import { TaskError, type Run } from "./task.ts";

const entries = {
  refTaskId: v.nullish(v.string("expected a task id"), ""),
  index: v.nullish(whole("expected the position of a block, from 0"), 0),
  state: v.nullish(v.custom<Manifest>(isMap, "expected a map"), {}),
  timeout: v.nullish(duration, "0s"),
};
const UpdateParams = v.strictObject(entries);
const CheckParams = v.strictObject({
  ...entries,
  listMatch: v.nullish(v.picklist(LIST_MATCHES, "expected exact or subset"), null),
});

export type StateParams = v.InferOutput<typeof CheckParams>;

/** Throws `TaskError`. */
export function readStateParams(params: unknown, isCheck: boolean): StateParams {
  const read = isCheck
    ? readParams(CheckParams, params)
    : { ...readParams(UpdateParams, params), listMatch: null };
  if (read.refTaskId === "") throw new TaskError("missing parameter 'refTaskId'");
  if (Object.keys(read.state).length === 0) throw new TaskError("missing parameter 'state'");
  return { ...read, state: withTextLabels(read.state) };
}

/** The objects of the block, one or more. */
export function objectsOf(
  { state }: Pick<Run, "state">,
  { refTaskId, index }: Pick<StateParams, "refTaskId" | "index">,
): { objects: Submitted[]; first: Submitted } {
  const { objects, blocks } = state.submitted(refTaskId);
  const found = objects.filter(({ block }) => block === index);
  const [first] = found;
  if (first !== undefined) return { objects: found, first };
  const count = `${blocks} ${blocks === 1 ? "block" : "blocks"}`;
  const message = `index ${index} is out of range: the template of ${refTaskId} has ${count}`;
  throw new TaskError(`${message}, numbered from 0`);
}
