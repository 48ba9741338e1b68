export { type Credentials, credentialsFromEnvironment, readCredentials } from './credentials.ts';
export { GlanceClient, type GlanceFilter, type GlanceSession } from './glance-client.ts';
export { type GlanceImage, isGlanceImageId, type Visibility } from './glance-image.ts';
export { KeystoneSession, NoAuthSession } from './keystone-session.ts';
