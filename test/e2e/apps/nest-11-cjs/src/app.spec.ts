import { Test } from '@nestjs/testing';
import { DiscoveryModule, getDiscoverableClientToken } from 'nestjs-service-discovery';
import { inMemory, provideConfig } from 'nestjs-service-discovery/testing';
import { of } from 'rxjs';
import { AppController, AppModule } from './app.module';

describe('AppModule under jest', () => {
  it('starts with an overridden client', async () => {
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(getDiscoverableClientToken('SELF'))
      .useValue({ get: () => of({ data: 'fake' }) })
      .compile();
    await module.init();
    expect(module.get(AppController).leaf()).toEqual({ limit: 5, name: 'cjs' });
    await module.close();
  });

  it('tests one class alone, with configuration of its own', async () => {
    const module = await Test.createTestingModule({
      controllers: [AppController],
      providers: [{ provide: getDiscoverableClientToken('SELF'), useValue: {} }, provideConfig({ limit: 7 })],
    }).compile();
    expect(module.get(AppController).leaf()).toEqual({ limit: 7, name: 'cjs' });
  });

  it('has the in-memory backend', async () => {
    const backend = inMemory();
    backend.registry.addInstance('STOCK', { port: 1 });
    const module = await Test.createTestingModule({
      imports: [DiscoveryModule.forRoot({ registry: backend, config: backend })],
    }).compile();
    await module.init();
    await module.close();
  });
});
