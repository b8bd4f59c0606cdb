/**
 * KWOK with stages as objects of the API, as on a cluster of an operator: the definition of Stage,
 * which comes with KWOK, and the stages that the product ships.
 */
import { parseAllDocuments } from "yaml";
import { formatStages } from "../../../deploy/stage.ts";
import { until } from "../../fixture/plane/plane.ts";
import type { Access } from "./access.ts";

/** KWOK's own definition checks the fields; `nodes-stage.test.ts` asks that one where it is. */
const STAGE_DEFINITION = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "stages.kwok.x-k8s.io" },
  spec: {
    group: "kwok.x-k8s.io",
    names: { kind: "Stage", listKind: "StageList", plural: "stages", singular: "stage" },
    scope: "Cluster",
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      },
    ],
  },
};

/** The flags that a cluster with stages as objects needs, after those of every cluster. */
export const STAGE_FLAGS = ["--manage-all-nodes=false", "--enable-crds=Stage"];

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages";
const SERVED_MS_MAX = 30_000;
/** Longer than KWOK takes from a change of a stage to its list. */
const SETTLE_MS = 250;

export async function applyStages(access: Access): Promise<void> {
  await access.json(DEFINITIONS, { method: "POST", body: STAGE_DEFINITION });
  await until("stages are served", SERVED_MS_MAX, async () => {
    return (await access.request(STAGES)).ok ? true : null;
  });
  for (const document of parseAllDocuments(formatStages())) {
    await access.json(STAGES, { method: "POST", body: document.toJS() as unknown });
  }
}

/**
 * Returns whether KWOK plays the stages of nodes and of pods, by its log. KWOK 0.8.0 keeps its list
 * of stages under the version of an informer, which has the version a moment before the stages: a
 * list that is read in that moment stays short until a stage changes, and nobody keeps the leases
 * (its `pkg/config/resources/cache.go`). So one is changed here until both are played, and again.
 */
export async function playsStages(access: Access, log: () => string): Promise<boolean> {
  const isPlayed = ["Node", "Pod"].every((kind) => {
    return log().includes(`"msg":"Start stage controller"`) && log().includes(`"Kind":"${kind}"}`);
  });
  await Bun.sleep(SETTLE_MS);
  const metadata = { annotations: { "navarch.test/changed": crypto.randomUUID() } };
  await access.json(`${STAGES}/node-initialize`, {
    method: "PATCH",
    body: { metadata },
    contentType: "application/merge-patch+json",
  });
  return isPlayed;
}
