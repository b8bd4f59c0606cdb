/**
 * The files of `k8s-manifests/hpc-slurm/`: a whole Slurm cluster on Kubernetes, rendered from a few
 * options. The same options give the same bytes. Pure.
 */
import { renderDbSecret, renderNamespace, renderStorage } from "./manifest-base.ts";
import { renderConfigMap } from "./manifest-config.ts";
import { renderMariadb, renderSlurmdbd } from "./manifest-database.ts";
import type { SlurmManifestOptions } from "./manifest-option.ts";
import { renderReadme } from "./manifest-readme.ts";
import { renderSlurmctld, renderSlurmd } from "./manifest-slurm.ts";

export type SlurmFile = { name: string; text: string };

/** In the order in which kubectl applies a directory. */
export function renderSlurmFiles(options: SlurmManifestOptions): SlurmFile[] {
  const objects = objectFiles(options);
  const listed = objects.filter(({ name }) => name !== NAMESPACE_FILE).map(({ name }) => name);
  return [
    { name: "Kustomization", text: renderKustomization(listed) },
    { name: "README.md", text: renderReadme(options) },
    ...objects,
  ];
}

/** All objects as one stream for `kubectl apply -f -`; `secret` stands in for the template. */
export function renderSlurmStream(options: SlurmManifestOptions, secret: string | null): string {
  const texts = objectFiles(options).flatMap(({ name, text }) => {
    if (name === NAMESPACE_FILE) return [];
    return [name === "secrets.yaml" && secret !== null ? secret : text];
  });
  return texts.join("---\n");
}

const NAMESPACE_FILE = "namespace.yaml";

function objectFiles(options: SlurmManifestOptions): SlurmFile[] {
  return [
    { name: "mariadb-deployment.yaml", text: renderMariadb(options) },
    { name: NAMESPACE_FILE, text: renderNamespace(options) },
    { name: "secrets.yaml", text: renderDbSecret(options) },
    { name: "slurm-config-template.yaml", text: renderConfigMap(options) },
    { name: "slurmctld-deployment.yaml", text: renderSlurmctld(options) },
    { name: "slurmd-statefulset.yaml", text: renderSlurmd(options) },
    { name: "slurmdbd-deployment.yaml", text: renderSlurmdbd(options) },
    { name: "storage.yaml", text: renderStorage(options) },
  ];
}

/** Without the file of the Namespace alone: kustomize refuses an object that is there twice. */
function renderKustomization(names: readonly string[]): string {
  return `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
${names.map((name) => `- ${name}\n`).join("")}`;
}
