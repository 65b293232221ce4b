// Names inside a backup that depend on the project.

/** `<name>-full.tar.gz`. */
export function archiveName(projectName: string): string {
  return `${projectName}-full.tar.gz`;
}
