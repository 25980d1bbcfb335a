// Runs shell commands in another process with a deadline: what touches a mount may hang, and the test must not.

import { execFile } from 'node:child_process';

export interface ShellResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface ShellOptions {
  cwd?: string;
  timeout?: number;
  uid?: number;
  gid?: number;
}

/** Whatever its exit code is. */
export function shell(script: string, options: ShellOptions = {}): Promise<ShellResult> {
  return new Promise((resolve, reject) => {
    execFile(
      '/bin/sh',
      ['-c', script],
      { timeout: 60_000, killSignal: 'SIGKILL', encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, ...options },
      (error, stdout, stderr) => {
        if (error === null) resolve({ code: 0, stdout, stderr });
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else reject(new Error(`${script}: ${error.killed ? 'did not end in time' : error.message}; ${stderr}`));
      },
    );
  });
}

/** Its stdout; fails when it fails. */
export async function output(script: string, options?: ShellOptions): Promise<string> {
  const { code, stdout, stderr } = await shell(script, options);
  if (code !== 0) throw new Error(`${script}: exit code ${code}: ${stderr}`);
  return stdout;
}
