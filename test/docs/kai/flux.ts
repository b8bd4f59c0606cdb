/**
 * The tree by which Flux keeps a cluster at what git says. The versions are those that Flux serves
 * since 2.3 beside newer ones; `flux bootstrap` adds the controllers themselves. Pure.
 */
const SYSTEM = "flux-system";
const SOURCE = "source.toolkit.fluxcd.io/v1beta2";

type Cluster = { name: string; replicas: number };
const CLUSTERS: readonly Cluster[] = [
  { name: "staging", replicas: 1 },
  { name: "production", replicas: 3 },
];

const meta = (name: string) => ({ name, namespace: SYSTEM });

const release = (chart: string, cluster: Cluster, values: object): object => ({
  apiVersion: "helm.toolkit.fluxcd.io/v2beta1",
  kind: "HelmRelease",
  metadata: meta(chart),
  spec: {
    interval: "5m",
    chart: {
      spec: {
        chart,
        version: ">=1.0.0",
        sourceRef: { kind: "HelmRepository", name: "kai-charts" },
      },
    },
    values: { global: globalOf(cluster), ...values },
  },
});

const globalOf = ({ name }: Cluster) =>
  name === "production"
    ? { environment: name, namespace: "kai-system", resourceMultiplier: 2 }
    : { environment: name, namespace: "kai-system-staging", resourceMultiplier: 1 };

const kustomization = (resources: readonly string[]): object => ({
  apiVersion: "kustomize.config.k8s.io/v1beta1",
  kind: "Kustomization",
  resources,
});

function filesOf(cluster: Cluster): [string, object[]][] {
  const root = `flux/clusters/${cluster.name}`;
  const git = {
    apiVersion: SOURCE,
    kind: "GitRepository",
    metadata: meta(SYSTEM),
    spec: {
      interval: "1m0s",
      ref: { branch: "main" },
      url: "ssh://git@github.com/kai-platform/kai-gitops",
    },
  };
  const sync = {
    apiVersion: "kustomize.toolkit.fluxcd.io/v1beta2",
    kind: "Kustomization",
    metadata: meta(SYSTEM),
    spec: {
      interval: "10m0s",
      path: `./${root}`,
      prune: true,
      sourceRef: { kind: "GitRepository", name: SYSTEM },
    },
  };
  const charts = {
    apiVersion: SOURCE,
    kind: "HelmRepository",
    metadata: meta("kai-charts"),
    spec: { interval: "5m", url: "https://kai-platform.github.io/helm-charts/" },
  };
  const image = { repository: "registry.example.com/navarch/control-plane", tag: "v1.2.3" };
  const coordinator = release("coordinator", cluster, { replicaCount: cluster.replicas, image });
  const files = ["sources/helm-repository.yaml", "releases/infrastructure.yaml"];
  return [
    [`${root}/flux-system/gotk-sync.yaml`, [git, sync]],
    [`${root}/sources/helm-repository.yaml`, [charts]],
    [`${root}/releases/infrastructure.yaml`, [release("infrastructure", cluster, {})]],
    [`${root}/releases/coordinator.yaml`, [dependent(coordinator)]],
    [
      `${root}/kustomization.yaml`,
      [kustomization(["flux-system/gotk-sync.yaml", ...files, "releases/coordinator.yaml"])],
    ],
  ];
}

/** The namespace, the quota and the priority class have to be there first. */
function dependent(object: object): object {
  const { spec, ...rest } = object as { spec: object };
  return { ...rest, spec: { dependsOn: [{ name: "infrastructure" }], ...spec } };
}

export const FLUX_FILES: readonly (readonly [string, object[]])[] = CLUSTERS.flatMap(filesOf);
