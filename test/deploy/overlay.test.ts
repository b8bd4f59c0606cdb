/**
 * Each option under `overlay/`, rendered by kubectl's own kustomize: what it makes refers to nothing
 * that is not there. That a server takes it is shown in `test/real/kubernetes/`.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { renderManifests } from "../../deploy/render.ts";
import { whyNoCluster } from "../real/kubernetes/binary.ts";
import {
  assembled,
  byKey,
  DEPLOY,
  keyOf,
  one,
  parseObjects,
  plainObjects,
  sorted,
  type Workload,
} from "./object.ts";

const missing = await whyNoCluster(["kubectl"]);
if (missing !== null) console.error(`SKIPPED: the overlays: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("kubectl is here to render the overlays with", () => {
  if (IS_CI) expect(missing).toBeNull();
});

const overlays = readdirSync(join(DEPLOY, "overlay")).map((name) => `overlay/${name}`);
// Patches the objects of `monitoring`, so it is rendered with them.
const beside = (name: string): string[] => (name === "overlay/release-label" ? ["monitoring"] : []);
const sets = [[], ...overlays.map((name) => [...beside(name), name]), ["monitoring", ...overlays]];

describe.skipIf(missing !== null)("kubectl kustomize", () => {
  test.each(sets.map((set) => [set.join(" + ") || "no option", set] as const))(
    "with %s makes pods whose volumes have one source each, which is there",
    (_name, set) => {
      const objects = assembled(...set);
      const keys = Object.keys(byKey(objects));
      const workloads = objects.filter(({ kind }) => /^(Deployment|DaemonSet)$/.test(kind));
      expect(workloads.length).toBe(2);
      for (const workload of workloads as Workload[]) {
        const { volumes, containers } = workload.spec.template.spec;
        for (const volume of volumes) {
          // A volume is its name and one source; the server refuses another number of them.
          const sources = Object.keys(volume).filter((key) => key !== "name");
          expect({ volume, sources: sources.length }).toEqual({ volume, sources: 1 });
          const claim = volume.persistentVolumeClaim?.claimName;
          if (claim !== undefined) expect(keys).toContain(`PersistentVolumeClaim/navarch/${claim}`);
        }
        const mounted = new Set(containers[0].volumeMounts.map(({ name }) => name));
        expect([...mounted].toSorted()).toEqual(volumes.map(({ name }) => name).toSorted());
      }
    },
  );

  test("with overlay/narrow-delete binds the account to pods in the named namespaces alone", () => {
    const objects = byKey(assembled("overlay/narrow-delete"));
    const name = "navarch-pod-delete.navarch.navarch";
    expect(objects[`ClusterRoleBinding//${name}`]?.subjects).toEqual([]);
    expect(objects[`RoleBinding/default/${name}`]?.subjects?.length).toBe(1);
  });

  test("with overlay/ha makes what `navarch manifests kubernetes --ha` prints", () => {
    const database = "http://libsql.navarch.svc.cluster.local:8080";
    const printed = renderManifests({ namespace: null, imageTag: null, database });
    // The configuration is text to kustomize: the overlay's own comment says to set the URL in it.
    const config = "ConfigMap/navarch/navarch-config";
    const wanted = byKey(parseObjects(printed));
    wanted[config] = one(plainObjects(), "ConfigMap");
    expect(sorted(byKey(assembled("overlay/ha")))).toEqual(sorted(wanted));
  });

  test("with an option takes no object away without a word: `kubectl apply` would leave it", () => {
    const plain = assembled().map(keyOf);
    const taken = overlays.flatMap((name) => {
      const left = new Set(assembled(...beside(name), name).map(keyOf));
      return plain.filter((key) => !left.has(key)).map((key) => `${name}: ${key}`);
    });
    // The claim alone, because deleting it deletes the state: deploy/README.md says when.
    expect(taken).toEqual(["overlay/ha: PersistentVolumeClaim/navarch/navarch-state"]);
  });
});
