export { HolderLink } from './holder-link.ts';
export { type InheritedSockets, inheritedSockets } from './inherited-sockets.ts';
export { runHolder } from './run-holder.ts';
