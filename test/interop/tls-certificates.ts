/** Certificates made by openssl, in a directory as libnbd and QEMU want it: ca-cert.pem, client-cert.pem, client-key.pem. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../cluster.ts';

export interface Certificates {
  readonly directory: string;
  readonly ca: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
}

/** A CA of its own, a server at 127.0.0.1 and a client. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  mkdirSync(directory);
  const inside = (name: string) => join(directory, name);
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout'];
  const caKey = inside('ca-key.pem');
  const ca = inside('ca-cert.pem');
  const caArgs = ['-subj', '/CN=bootswarm test', '-days', '2', '-out', ca];
  await openssl('req', '-x509', ...key, caKey, ...caArgs);
  for (const [who, usage] of [
    ['server', 'serverAuth'],
    ['client', 'clientAuth'],
  ]) {
    const asked = inside(`${who}.csr`);
    const extensions = inside(`${who}.ext`);
    writeFileSync(
      extensions,
      `basicConstraints=CA:FALSE\nextendedKeyUsage=${usage}\nsubjectAltName=IP:127.0.0.1\n`,
    );
    const keyPath = inside(`${who}-key.pem`);
    await openssl('req', ...key, keyPath, '-subj', `/CN=${who}`, '-out', asked);
    const signed = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2'];
    const paths = ['-extfile', extensions, '-out', inside(`${who}-cert.pem`)];
    await openssl('x509', '-req', '-in', asked, ...signed, ...paths);
  }
  return {
    directory,
    ca,
    serverCertificate: inside('server-cert.pem'),
    serverKey: inside('server-key.pem'),
  };
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await run('openssl', args);
  if (code !== 0) throw new Error(stderr);
}
