/**
 * What differs between releases of Slurm in the files that are rendered. A key that a release does
 * not know is fatal there, so a release that is not in the table is refused. Pure.
 * docs/reference/slurm.md says how each row was checked.
 */

/** Oldest first. */
export const SLURM_RELEASES = [
  "22.05",
  "23.02",
  "23.11",
  "24.05",
  "24.11",
  "25.05",
  "25.11",
  "26.05",
] as const;
export type SlurmRelease = (typeof SLURM_RELEASES)[number];

export type SlurmRules = {
  release: SlurmRelease;
  /** Power saving can leave out nodes by state; older releases know names and partitions only. */
  suspendExcStates: boolean;
  /** `CgroupPlugin` where nothing uses cgroups: the default fails on a host with v1 and v2. */
  withoutCgroup: "cgroup/v1" | "disabled";
};

/** `22.05` of `22.05`, `22.05.8` or `slurm-wlm 22.05.8`; `null` if there is no version in it. */
export function readRelease(text: string): string | null {
  return /^(?:slurm(?:-wlm)? )?v?(\d\d\.\d\d)(?:\.\d+)?$/.exec(text.trim())?.[1] ?? null;
}

export function rulesOf(release: SlurmRelease): SlurmRules {
  const isAtLeast = (first: SlurmRelease): boolean =>
    SLURM_RELEASES.indexOf(release) >= SLURM_RELEASES.indexOf(first);
  return {
    release,
    suspendExcStates: isAtLeast("23.02"),
    withoutCgroup: isAtLeast("24.05") ? "disabled" : "cgroup/v1",
  };
}
