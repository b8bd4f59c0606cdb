/**
 * The scenarios that are embedded in the binary, each to be run by its name. First upstream's ten
 * names, then stories of a fleet's life, then one for every feature of the format, which fails if
 * that feature is ignored.
 */
import basicFleet from "./basic-fleet.yaml" with { type: "text" };
import cordonDrain from "./cordon-drain.yaml" with { type: "text" };
import gpuFailure from "./gpu-failure.yaml" with { type: "text" };
import xidClassification from "./xid-classification.yaml" with { type: "text" };
import quickTest from "./quick-test.yaml" with { type: "text" };
import highFailureTest from "./high-failure-test.yaml" with { type: "text" };
import xidComprehensive from "./xid-comprehensive.yaml" with { type: "text" };
import thousandNodeChaos from "./1000-node-chaos.yaml" with { type: "text" };
import cascadingFailures from "./cascading-failures.yaml" with { type: "text" };
import fiveThousandNodeExtreme from "./5000-node-extreme.yaml" with { type: "text" };
import badDriverRollout from "./bad-driver-rollout.yaml" with { type: "text" };
import bootstrapFailureStorm from "./bootstrap-failure-storm.yaml" with { type: "text" };
import controlPlaneKill from "./control-plane-kill.yaml" with { type: "text" };
import controlPlanePause from "./control-plane-pause.yaml" with { type: "text" };
import controlPlanePausedHour from "./control-plane-paused-hour.yaml" with { type: "text" };
import controlPlaneWipe from "./control-plane-wipe.yaml" with { type: "text" };
import fivePercentOf10000 from "./five-percent-of-10000.yaml" with { type: "text" };
import flappingNetwork from "./flapping-network.yaml" with { type: "text" };
import kubernetesDrainPdb from "./kubernetes-drain-pdb.yaml" with { type: "text" };
import kubernetesApiAway from "./kubernetes-api-away.yaml" with { type: "text" };
import kubernetesPdbNever from "./kubernetes-pdb-never.yaml" with { type: "text" };
import kubernetesQueue from "./kubernetes-queue.yaml" with { type: "text" };
import kubernetesUncordon from "./kubernetes-uncordon.yaml" with { type: "text" };
import pattern2 from "./pattern-2.yaml" with { type: "text" };
import poolFloor from "./pool-floor.yaml" with { type: "text" };
import providerFailover from "./provider-failover.yaml" with { type: "text" };
import providerWedge from "./provider-wedge.yaml" with { type: "text" };
import queueScaling from "./queue-scaling.yaml" with { type: "text" };
import reRegistration from "./re-registration.yaml" with { type: "text" };
import rebootLadder from "./reboot-ladder.yaml" with { type: "text" };
import registrationTimeout from "./registration-timeout.yaml" with { type: "text" };
import replacementOrder from "./replacement-order.yaml" with { type: "text" };
import stockOutDay from "./stock-out-day.yaml" with { type: "text" };
import surgeReplacement from "./surge-replacement.yaml" with { type: "text" };
import threshold1 from "./threshold-1.yaml" with { type: "text" };
import threshold2 from "./threshold-2.yaml" with { type: "text" };
import threshold3 from "./threshold-3.yaml" with { type: "text" };
import zoneDies from "./zone-dies.yaml" with { type: "text" };
import zoneOutageFreeze from "./zone-outage-freeze.yaml" with { type: "text" };
import featureApiFault from "./feature-api-fault.yaml" with { type: "text" };
import featureApiFaultKinds from "./feature-api-fault-kinds.yaml" with { type: "text" };
import featureApiFaultPart from "./feature-api-fault-part.yaml" with { type: "text" };
import featureAssertions from "./feature-assertions.yaml" with { type: "text" };
import featureCascadeDelay from "./feature-cascade-delay.yaml" with { type: "text" };
import featureCascadeDepth from "./feature-cascade-depth.yaml" with { type: "text" };
import featureCascadeNever from "./feature-cascade-never.yaml" with { type: "text" };
import featureCascadeProvider from "./feature-cascade-provider.yaml" with { type: "text" };
import featureCascadeRack from "./feature-cascade-rack.yaml" with { type: "text" };
import featureCascadeRandom from "./feature-cascade-random.yaml" with { type: "text" };
import featureCascadeRegion from "./feature-cascade-region.yaml" with { type: "text" };
import featureCascadeZone from "./feature-cascade-zone.yaml" with { type: "text" };
import featureChaosOff from "./feature-chaos-off.yaml" with { type: "text" };
import featureColdStartNormal from "./feature-cold-start-normal.yaml" with { type: "text" };
import featureColdStartUniform from "./feature-cold-start-uniform.yaml" with { type: "text" };
import featureCommands from "./feature-commands.yaml" with { type: "text" };
import featureControlPlane from "./feature-control-plane.yaml" with { type: "text" };
import featureCorrelatedAloneRack from "./feature-correlated-alone-rack.yaml" with { type: "text" };
import featureCorrelatedAloneZone from "./feature-correlated-alone-zone.yaml" with { type: "text" };
import featureCorrelatedLate from "./feature-correlated-late.yaml" with { type: "text" };
import featureCorrelatedRandom from "./feature-correlated-random.yaml" with { type: "text" };
import featureCorrelatedSameNode from "./feature-correlated-same-node.yaml" with { type: "text" };
import featureCorrelatedSameRack from "./feature-correlated-same-rack.yaml" with { type: "text" };
import featureCorrelatedSameZone from "./feature-correlated-same-zone.yaml" with { type: "text" };
import featureCorrelatedType from "./feature-correlated-type.yaml" with { type: "text" };
import featureDetection from "./feature-detection.yaml" with { type: "text" };
import featureFailureHard from "./feature-failure-hard.yaml" with { type: "text" };
import featureFailureInstance from "./feature-failure-instance.yaml" with { type: "text" };
import featureFailureLink from "./feature-failure-link.yaml" with { type: "text" };
import featureFailureMild from "./feature-failure-mild.yaml" with { type: "text" };
import featureFailureRate from "./feature-failure-rate.yaml" with { type: "text" };
import featureFailureSlowBoot from "./feature-failure-slow-boot.yaml" with { type: "text" };
import featureFailureTypes from "./feature-failure-types.yaml" with { type: "text" };
import featureFleetGen from "./feature-fleet-gen.yaml" with { type: "text" };
import featureFleetGenDefault from "./feature-fleet-gen-default.yaml" with { type: "text" };
import featureIdentity from "./feature-identity.yaml" with { type: "text" };
import featureKubeBudgets from "./feature-kube-budgets.yaml" with { type: "text" };
import featureKubePods from "./feature-kube-pods.yaml" with { type: "text" };
import featureKubectl from "./feature-kubectl.yaml" with { type: "text" };
import featureLoadQueue from "./feature-load-queue.yaml" with { type: "text" };
import featureLoadReactive from "./feature-load-reactive.yaml" with { type: "text" };
import featureOutageOverlap from "./feature-outage-overlap.yaml" with { type: "text" };
import featureOutagePercentage from "./feature-outage-percentage.yaml" with { type: "text" };
import featureOutageProvider from "./feature-outage-provider.yaml" with { type: "text" };
import featureOutageRegion from "./feature-outage-region.yaml" with { type: "text" };
import featureOutageZone from "./feature-outage-zone.yaml" with { type: "text" };
import featurePlaneKill from "./feature-plane-kill.yaml" with { type: "text" };
import featurePlanePause from "./feature-plane-pause.yaml" with { type: "text" };
import featurePlaneRestart from "./feature-plane-restart.yaml" with { type: "text" };
import featurePolicy from "./feature-policy.yaml" with { type: "text" };
import featureProviderFault from "./feature-provider-fault.yaml" with { type: "text" };
import featureProviderFaultBlind from "./feature-provider-fault-blind.yaml" with { type: "text" };
import featureProviderFaultPart from "./feature-provider-fault-part.yaml" with { type: "text" };
import featureRecover from "./feature-recover.yaml" with { type: "text" };
import featureRecovery from "./feature-recovery.yaml" with { type: "text" };
import featureRecoveryFatal from "./feature-recovery-fatal.yaml" with { type: "text" };
import featureRecoveryNever from "./feature-recovery-never.yaml" with { type: "text" };
import featureRecoverySpread from "./feature-recovery-spread.yaml" with { type: "text" };
import featureReplaceFatal from "./feature-replace-fatal.yaml" with { type: "text" };
import featureReportFiles from "./feature-report-files.yaml" with { type: "text" };
import featureServer from "./feature-server.yaml" with { type: "text" };
import featureStartupExponential from "./feature-startup-exponential.yaml" with { type: "text" };
import featureStartupInstant from "./feature-startup-instant.yaml" with { type: "text" };
import featureStartupJitter from "./feature-startup-jitter.yaml" with { type: "text" };
import featureStartupLinear from "./feature-startup-linear.yaml" with { type: "text" };
import featureStartupWave from "./feature-startup-wave.yaml" with { type: "text" };
import featureStopFleet from "./feature-stop-fleet.yaml" with { type: "text" };
import featureXidDefault from "./feature-xid-default.yaml" with { type: "text" };
import featureXidDistribution from "./feature-xid-distribution.yaml" with { type: "text" };

export type Bundled = { name: string; text: string };

export const BUNDLED: readonly Bundled[] = [
  { name: "basic-fleet", text: basicFleet },
  { name: "cordon-drain", text: cordonDrain },
  { name: "gpu-failure", text: gpuFailure },
  { name: "xid-classification", text: xidClassification },
  { name: "quick-test", text: quickTest },
  { name: "high-failure-test", text: highFailureTest },
  { name: "xid-comprehensive", text: xidComprehensive },
  { name: "1000-node-chaos", text: thousandNodeChaos },
  { name: "cascading-failures", text: cascadingFailures },
  { name: "5000-node-extreme", text: fiveThousandNodeExtreme },
  { name: "bad-driver-rollout", text: badDriverRollout },
  { name: "bootstrap-failure-storm", text: bootstrapFailureStorm },
  { name: "control-plane-kill", text: controlPlaneKill },
  { name: "control-plane-pause", text: controlPlanePause },
  { name: "control-plane-paused-hour", text: controlPlanePausedHour },
  { name: "control-plane-wipe", text: controlPlaneWipe },
  { name: "five-percent-of-10000", text: fivePercentOf10000 },
  { name: "flapping-network", text: flappingNetwork },
  { name: "kubernetes-drain-pdb", text: kubernetesDrainPdb },
  { name: "kubernetes-api-away", text: kubernetesApiAway },
  { name: "kubernetes-pdb-never", text: kubernetesPdbNever },
  { name: "kubernetes-queue", text: kubernetesQueue },
  { name: "kubernetes-uncordon", text: kubernetesUncordon },
  { name: "pattern-2", text: pattern2 },
  { name: "pool-floor", text: poolFloor },
  { name: "provider-failover", text: providerFailover },
  { name: "provider-wedge", text: providerWedge },
  { name: "queue-scaling", text: queueScaling },
  { name: "re-registration", text: reRegistration },
  { name: "reboot-ladder", text: rebootLadder },
  { name: "registration-timeout", text: registrationTimeout },
  { name: "replacement-order", text: replacementOrder },
  { name: "stock-out-day", text: stockOutDay },
  { name: "surge-replacement", text: surgeReplacement },
  { name: "threshold-1", text: threshold1 },
  { name: "threshold-2", text: threshold2 },
  { name: "threshold-3", text: threshold3 },
  { name: "zone-dies", text: zoneDies },
  { name: "zone-outage-freeze", text: zoneOutageFreeze },
  { name: "feature-api-fault", text: featureApiFault },
  { name: "feature-api-fault-kinds", text: featureApiFaultKinds },
  { name: "feature-api-fault-part", text: featureApiFaultPart },
  { name: "feature-assertions", text: featureAssertions },
  { name: "feature-cascade-delay", text: featureCascadeDelay },
  { name: "feature-cascade-depth", text: featureCascadeDepth },
  { name: "feature-cascade-never", text: featureCascadeNever },
  { name: "feature-cascade-provider", text: featureCascadeProvider },
  { name: "feature-cascade-rack", text: featureCascadeRack },
  { name: "feature-cascade-random", text: featureCascadeRandom },
  { name: "feature-cascade-region", text: featureCascadeRegion },
  { name: "feature-cascade-zone", text: featureCascadeZone },
  { name: "feature-chaos-off", text: featureChaosOff },
  { name: "feature-cold-start-normal", text: featureColdStartNormal },
  { name: "feature-cold-start-uniform", text: featureColdStartUniform },
  { name: "feature-commands", text: featureCommands },
  { name: "feature-control-plane", text: featureControlPlane },
  { name: "feature-correlated-alone-rack", text: featureCorrelatedAloneRack },
  { name: "feature-correlated-alone-zone", text: featureCorrelatedAloneZone },
  { name: "feature-correlated-late", text: featureCorrelatedLate },
  { name: "feature-correlated-random", text: featureCorrelatedRandom },
  { name: "feature-correlated-same-node", text: featureCorrelatedSameNode },
  { name: "feature-correlated-same-rack", text: featureCorrelatedSameRack },
  { name: "feature-correlated-same-zone", text: featureCorrelatedSameZone },
  { name: "feature-correlated-type", text: featureCorrelatedType },
  { name: "feature-detection", text: featureDetection },
  { name: "feature-failure-hard", text: featureFailureHard },
  { name: "feature-failure-instance", text: featureFailureInstance },
  { name: "feature-failure-link", text: featureFailureLink },
  { name: "feature-failure-mild", text: featureFailureMild },
  { name: "feature-failure-rate", text: featureFailureRate },
  { name: "feature-failure-slow-boot", text: featureFailureSlowBoot },
  { name: "feature-failure-types", text: featureFailureTypes },
  { name: "feature-fleet-gen", text: featureFleetGen },
  { name: "feature-fleet-gen-default", text: featureFleetGenDefault },
  { name: "feature-identity", text: featureIdentity },
  { name: "feature-kube-budgets", text: featureKubeBudgets },
  { name: "feature-kube-pods", text: featureKubePods },
  { name: "feature-kubectl", text: featureKubectl },
  { name: "feature-load-queue", text: featureLoadQueue },
  { name: "feature-load-reactive", text: featureLoadReactive },
  { name: "feature-outage-overlap", text: featureOutageOverlap },
  { name: "feature-outage-percentage", text: featureOutagePercentage },
  { name: "feature-outage-provider", text: featureOutageProvider },
  { name: "feature-outage-region", text: featureOutageRegion },
  { name: "feature-outage-zone", text: featureOutageZone },
  { name: "feature-plane-kill", text: featurePlaneKill },
  { name: "feature-plane-pause", text: featurePlanePause },
  { name: "feature-plane-restart", text: featurePlaneRestart },
  { name: "feature-policy", text: featurePolicy },
  { name: "feature-provider-fault", text: featureProviderFault },
  { name: "feature-provider-fault-blind", text: featureProviderFaultBlind },
  { name: "feature-provider-fault-part", text: featureProviderFaultPart },
  { name: "feature-recover", text: featureRecover },
  { name: "feature-recovery", text: featureRecovery },
  { name: "feature-recovery-fatal", text: featureRecoveryFatal },
  { name: "feature-recovery-never", text: featureRecoveryNever },
  { name: "feature-recovery-spread", text: featureRecoverySpread },
  { name: "feature-replace-fatal", text: featureReplaceFatal },
  { name: "feature-report-files", text: featureReportFiles },
  { name: "feature-server", text: featureServer },
  { name: "feature-startup-exponential", text: featureStartupExponential },
  { name: "feature-startup-instant", text: featureStartupInstant },
  { name: "feature-startup-jitter", text: featureStartupJitter },
  { name: "feature-startup-linear", text: featureStartupLinear },
  { name: "feature-startup-wave", text: featureStartupWave },
  { name: "feature-stop-fleet", text: featureStopFleet },
  { name: "feature-xid-default", text: featureXidDefault },
  { name: "feature-xid-distribution", text: featureXidDistribution },
];

/** By name, with or without the ending of a file; upstream's folders may stand before it. */
export function findBundled(path: string): Bundled | null {
  const name = path.replace(/^(\.\/)?(scenarios\/)?(stress\/)?/, "").replace(/\.ya?ml$/, "");
  return BUNDLED.find((one) => one.name === name) ?? null;
}
